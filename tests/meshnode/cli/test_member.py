"""`member` and `invitation`: what they ask of the node, and how they show what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from meshnode.cli.member import describe_member
from meshnode.decision_views import DecisionInfo
from meshnode.errors import CommandRejected
from meshnode.member_views import InvitationInfo, MemberInfo
from meshnode.views import VertexInfo
from tests.support.cli import run_command
from tests.support.views import (
    make_decision,
    make_id,
    make_invitation,
    make_member,
    make_vertex,
)


@dataclass
class MemberRemote:
    """Answers about members, and remembers what it was asked."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    listed: list[MemberInfo] = field(default_factory=lambda: [make_member()])
    issued: list[InvitationInfo] = field(default_factory=lambda: [make_invitation()])
    refuses_votes: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def _note(self, **asked: Any) -> VertexInfo:
        self.asked.append(asked)
        return make_vertex("word", "alice", 3, kind="membership")

    async def members(self, *, standing: str | None = None) -> list[MemberInfo]:
        self.asked.append({"standing": standing})
        return self.listed

    async def member(self, author: str) -> MemberInfo:
        self.asked.append({"member": author})
        return self.listed[0]

    async def expel(self, author: str, **options: Any) -> VertexInfo:
        return self._note(expel=author, **options)

    async def vote(self, decision_id: str, option: str, **options: Any) -> VertexInfo:
        if self.refuses_votes:
            raise CommandRejected("this node has no vote on it")
        return self._note(vote=decision_id, option=option, **options)

    async def decision(self, _: str, **__: Any) -> DecisionInfo:
        return make_decision(status="passed", winner="yes", closed_at=9)

    async def vouch(self, author: str) -> VertexInfo:
        return self._note(vouch=author)

    async def revoke_identity(self, *, reason: str = "") -> VertexInfo:
        return self._note(revoke_identity=reason)

    async def invitations(self) -> list[InvitationInfo]:
        return self.issued

    async def revoke_invitation(self, key: str) -> VertexInfo:
        return self._note(revoke_invitation=key)


@pytest.fixture
def remote(monkeypatch):
    node = MemberRemote()
    monkeypatch.setattr("meshnode.cli.member.connect", lambda _home: node)
    return node


def test_members_are_listed_in_a_table_and_as_json(remote, capsys):
    remote.listed.append(
        make_member("eve", standing="expelled", reason="floods", connected=False, inviter=None)
    )
    done = run_command(capsys, "member", "list")
    assert done.code == 0
    assert all(word in done.out for word in ("bob", "alice", "expelled", "floods"))
    found = run_command(capsys, "member", "list", "--standing", "expelled", "--json").document
    assert [one["name"] for one in found["members"]] == ["bob", "eve"]
    assert remote.asked[-1] == {"standing": "expelled"}
    remote.listed.clear()
    assert "nobody" in run_command(capsys, "member", "list").out


def test_member_is_shown_with_why_it_is_out(remote, capsys):
    remote.listed[0] = make_member(
        standing="expelled", since=7, cause=make_id("decision"), reason="floods", until_ms=5
    )
    out = run_command(capsys, "member", "show", "bob").out
    assert "bob" in out
    assert "expelled since commit 7" in out
    assert "because: floods" in out
    assert run_command(capsys, "member", "show", "bob", "--json").document["since"] == 7


def test_founder_has_no_inviter_and_no_commit():
    founder = make_member(
        since=0, founder=True, validator=True, connected=False, inviter=None, inviter_name=""
    )
    (line,) = describe_member(founder)
    assert line.endswith("member, founder, validator")


def test_identity_is_not_ended_by_accident(remote, capsys):
    done = run_command(capsys, "member", "revoke")
    assert done.code != 0
    assert "--yes" in done.err
    assert not remote.asked
    done = run_command(capsys, "member", "revoke", "--yes", "--reason", "stolen")
    assert (done.code, remote.asked) == (0, [{"revoke_identity": "stolen"}])
    assert "schema" in run_command(capsys, "member", "revoke", "--yes", "--json").document


def test_expulsion_is_asked_and_answered_at_once(remote, capsys):
    done = run_command(capsys, "member", "expel", "bob", "--reason", "floods", "--closes-h", "1")
    assert done.code == 0
    asked, voted = remote.asked
    assert asked == {"expel": "bob", "reason": "floods", "closes_in_ms": 3_600_000}
    assert (voted["option"], voted["reason"]) == ("yes", "floods")
    assert "decide vote" in done.out


def test_expulsion_is_asked_without_a_vote_where_there_is_none_or_none_is_wanted(remote, capsys):
    remote.refuses_votes = True
    done = run_command(capsys, "member", "expel", "bob", "--reason", "floods", "--json")
    assert "not voted: this node has no vote" in done.err
    assert done.document["schema"] == "meshnode.proposed/1"
    remote.asked.clear()
    run_command(capsys, "member", "expel", "bob", "--reason", "floods", "--no-vote")
    assert [next(iter(each)) for each in remote.asked] == ["expel"]


def test_expulsion_can_be_waited_for(remote, capsys):
    done = run_command(capsys, "member", "expel", "bob", "--reason", "floods", "--wait")
    assert (done.code, "passed" in done.out) == (0, True)


def test_newcomer_is_vouched_for(remote, capsys):
    assert run_command(capsys, "member", "vouch", "bob").code == 0
    assert remote.asked == [{"vouch": "bob"}]


def test_invitations_are_listed_and_taken_back(remote, capsys):
    remote.issued.append(make_invitation(key="cd" * 32, uses=0, role="", revoked_at=8))
    remote.issued.append(make_invitation(key="ef" * 32, expires_ms=1_700_000_000_000, uses=1))
    done = run_command(capsys, "invitation", "list")
    assert all(word in done.out for word in ("abababab", "1 time of 3", "taken back by commit 8"))
    assert len(run_command(capsys, "invitation", "list", "--json").document["invitations"]) == 3
    remote.issued.clear()
    assert "none was issued" in run_command(capsys, "invitation", "list").out
    assert run_command(capsys, "invitation", "revoke", "abab").code == 0
    assert remote.asked == [{"revoke_invitation": "abab"}]
