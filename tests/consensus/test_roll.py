"""The roll of members: who comes in, who is out, and from which commit on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from consensus.errors import InvalidDecision
from consensus.roll import HOUR_MS, REVOKED_PER_INVITER_MAX, WAITING_MAX, Roll
from dag.bodies import (
    IdentityRevocation,
    Invitation,
    InvitationRevocation,
    ProvenInvitation,
    Vouching,
)
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import NewcomerLimits, Parameters, compute_network_id
from dag.identity import prove_bearer, sign_invitation
from dag.order import Commit
from dag.types import LANE_BLOCKS, LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from tests.support.dag_builder import START_MS, make_genesis, make_person


def author(number: int) -> bytes:
    return make_person(number).author


def seed_of(bearer: int) -> bytes:
    return bytes([bearer]) * 32


def key_of(bearer: int) -> bytes:
    return sodium.crypto_sign_seed_keypair(seed_of(bearer))[0]


class Scene:
    """Founders 0 to n - 1, and commits made by hand: intake comes before."""

    def __init__(self, founders: int = 2, limits: NewcomerLimits | None = None, *, is_open=False):
        genesis = make_genesis([make_person(number) for number in range(founders)])
        self.genesis = msgspec.structs.replace(
            genesis,
            parameters=Parameters(open=is_open or limits is not None),
            newcomers=limits,
        )
        self.network = compute_network_id(self.genesis)
        self.roll = Roll(self.genesis)
        self.commits: list[tuple[Commit, tuple[SignedVertex, ...]]] = []

    def say(self, number: int, kind: int, body: object, *, seq=1, lane=LANE_SPEECH) -> SignedVertex:
        data = body if isinstance(body, bytes) else encode(body)
        parents = (Ref(seq, bytes(32)),) if seq else ()
        vertex = Vertex(
            WIRE_VERSION,
            self.network,
            author(number),
            lane,
            seq,
            seq + 1,
            kind,
            START_MS,
            parents,
            data,
        )
        return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")

    def word(self, number: int, body: object, **options) -> SignedVertex:
        return self.say(number, Kind.MEMBERSHIP, body, **options)

    def invitation(self, number: int, inviter: int, bearer=9, uses=1, expires_ms=0) -> bytes:
        invitation = Invitation(
            self.network, author(inviter), key_of(bearer), "peer", uses, expires_ms, 0
        )
        signed = sign_invitation(make_person(inviter).secrets, "ed25519", invitation)
        return encode(prove_bearer(seed_of(bearer), self.network, author(number), signed))

    def profile(self, number: int, inviter: int | None = 0, *, seq=0, **options) -> SignedVertex:
        """A first profile, or a later one that proves its invitation."""
        encoded = b"" if inviter is None else self.invitation(number, inviter, **options)
        if seq and inviter is not None:
            keys = make_person(inviter).keys
            encoded = encode(ProvenInvitation(encoded, keys.ed25519_key, keys.mldsa65_key))
        return self.say(number, Kind.PROFILE, encode(make_person(number).profile(encoded)), seq=seq)

    def commit(self, *vertices: SignedVertex, at_ms: int = 0) -> Commit:
        index = len(self.commits) + 1
        refs = tuple(signed.ref for signed in vertices)
        commit = Commit(index, bytes(32), bytes(32), bytes(32), refs, START_MS + at_ms)
        self.commits.append((commit, vertices))
        self.roll.apply(commit, vertices)
        return commit

    def standing(self, number: int) -> str:
        record = self.roll.get(author(number))
        return "" if record is None else record.standing


def test_founders_are_members_and_others_come_by_invitation():
    scene = Scene(2)
    before = scene.roll.changes
    scene.commit(scene.profile(5), scene.say(6, Kind.NOTE, b"", seq=3))
    assert tuple(scene.roll.members) == (author(0), author(1), author(5))
    assert scene.standing(6) == ""
    assert scene.roll.changes != before
    assert scene.roll.count_uses(author(0), key_of(9)) == 1
    assert [record.since for record in scene.roll.list_records()] == [0, 0, 1]


def test_invitation_is_used_as_often_as_it_says_in_commit_order():
    scene = Scene()
    scene.commit(*(scene.profile(number, uses=2) for number in (5, 6, 7)))
    assert [scene.standing(number) for number in (5, 6, 7)] == ["member", "member", "refused"]
    gone = scene.roll.gone[author(7)]
    assert gone.reason == "its invitation is used up"
    assert scene.roll.is_gone(author(7))


def test_invitation_expires_by_commit_time():
    scene = Scene()
    limit_ms = START_MS + 10
    scene.commit(scene.profile(5, uses=9, expires_ms=limit_ms), at_ms=9)
    scene.commit(scene.profile(6, uses=9, expires_ms=limit_ms), at_ms=10)
    assert [scene.standing(number) for number in (5, 6)] == ["member", "refused"]


def test_uses_of_the_commit_that_takes_an_invitation_back_still_count():
    scene = Scene()
    revocation = scene.word(0, InvitationRevocation(key_of(9)))
    scene.commit(revocation, scene.profile(5, uses=9))
    scene.commit(scene.profile(6, uses=9))
    assert [scene.standing(number) for number in (5, 6)] == ["member", "refused"]
    assert scene.roll.gone[author(6)].reason == "its invitation was taken back at commit 1"
    assert [item.since for item in scene.roll.revoked] == [1]


def test_invitation_is_taken_back_by_its_inviter_alone():
    scene = Scene()
    scene.commit(scene.word(1, InvitationRevocation(key_of(9))))
    scene.commit(scene.profile(5))
    assert scene.standing(5) == "member"


@pytest.mark.parametrize(
    ("number", "body"),
    [
        (0, b"junk"),
        (0, InvitationRevocation(b"short")),
        (7, InvitationRevocation(key_of(1))),
        (7, Vouching(author(0))),
        (0, Vouching(author(7))),
        (0, Vouching(author(1))),
    ],
)
def test_word_without_effect_is_counted(number: int, body: object):
    scene = Scene()
    scene.commit(scene.word(number, body))
    assert scene.roll.ignored_count == 1
    assert not scene.roll.revoked


def test_invitation_is_taken_back_once():
    scene = Scene()
    word = scene.word(0, InvitationRevocation(key_of(9)))
    scene.commit(word, word)
    assert (len(scene.roll.revoked), scene.roll.ignored_count) == (1, 1)


def test_what_one_member_takes_back_is_bounded():
    scene = Scene()
    keys = [number.to_bytes(32, "big") for number in range(REVOKED_PER_INVITER_MAX + 1)]
    scene.commit(*(scene.word(0, InvitationRevocation(key)) for key in keys))
    scene.commit(scene.word(1, InvitationRevocation(keys[0])))
    assert (len(scene.roll.revoked), scene.roll.ignored_count) == (REVOKED_PER_INVITER_MAX + 1, 1)


def test_identity_ends_by_its_own_word_for_good():
    scene = Scene()
    scene.commit(scene.profile(5))
    word = scene.word(5, IdentityRevocation("x" * 900))
    scene.commit(word)
    record = scene.roll.gone[author(5)]
    assert (record.standing, record.since, record.cause) == ("revoked", 2, word.id)
    assert len(record.reason) == 500
    scene.commit(scene.word(5, IdentityRevocation("again")), scene.profile(5, bearer=3))
    assert (scene.standing(5), scene.roll.ignored_count) == ("revoked", 1)
    assert author(5) not in scene.roll.members


def test_identity_that_never_came_into_the_order_can_be_ended_too():
    scene = Scene()
    scene.commit(scene.word(5, IdentityRevocation("")))
    scene.commit(scene.profile(5))
    assert scene.standing(5) == "revoked"


def test_last_of_the_committee_cannot_end_its_identity():
    scene = Scene(2)
    scene.commit(scene.word(0, IdentityRevocation("")))
    scene.commit(scene.word(1, IdentityRevocation("")))
    assert [scene.standing(number) for number in (0, 1)] == ["revoked", "member"]
    scene.roll.set_committee([author(0), author(1), author(5)])
    scene.commit(scene.word(1, IdentityRevocation("")))
    assert scene.standing(1) == "revoked"


def test_inviter_that_is_out_brings_nobody_in():
    scene = Scene()
    scene.commit(scene.word(0, IdentityRevocation("")))
    scene.commit(scene.profile(5, 0), scene.profile(6, 1, bearer=2))
    assert [scene.standing(number) for number in (5, 6)] == ["refused", "member"]
    assert "no member any more" in scene.roll.gone[author(5)].reason


def test_stranger_brings_nobody_in():
    scene = Scene()
    scene.commit(scene.profile(5, 8))
    assert scene.standing(5) == ""


def test_later_profile_counts_where_it_proves_its_invitation():
    scene = Scene()
    scene.commit(scene.profile(5, seq=3), scene.profile(6, None, seq=3))
    assert [scene.standing(number) for number in (5, 6)] == ["member", ""]
    unproven = scene.say(
        7,
        Kind.PROFILE,
        encode(make_person(7).profile(scene.invitation(7, 0, bearer=2))),
        seq=2,
    )
    scene.commit(unproven, scene.say(8, Kind.PROFILE, b"junk", seq=2))
    assert [scene.standing(number) for number in (7, 8)] == ["", ""]


def test_blocks_say_nothing_about_membership():
    scene = Scene()
    scene.commit(scene.word(0, IdentityRevocation(""), lane=LANE_BLOCKS))
    assert (scene.standing(0), scene.roll.ignored_count) == ("member", 0)


def test_who_proves_an_invitation_otherwise_is_admitted_once():
    scene = Scene()
    commit = scene.commit()
    invitation = Invitation(scene.network, author(0), key_of(1), "validator", 1, 0, 0)
    scene.roll.admit(commit, author(5), invitation)
    scene.roll.admit(commit, author(5), invitation)
    assert (scene.standing(5), scene.roll.count_uses(author(0), key_of(1))) == ("member", 1)


def test_expelled_member_is_out_and_who_is_none_cannot_be_expelled():
    scene = Scene(2)
    commit = scene.commit()
    scene.roll.check_expulsion(author(1))
    scene.roll.expel(commit, author(1), b"\1" * 32, "why")
    assert scene.standing(1) == "expelled"
    for number, text in ((1, "no member"), (7, "no member"), (0, "nobody would have a seat")):
        with pytest.raises(InvalidDecision, match=text):
            scene.roll.check_expulsion(author(number))


def test_open_network_without_limits_takes_everybody_in_at_once():
    scene = Scene(is_open=True)
    scene.commit(scene.profile(5, None), scene.profile(6, None, seq=2), scene.profile(7, 0))
    assert [scene.standing(number) for number in (5, 6, 7)] == ["member"] * 3


def test_open_network_takes_in_so_many_in_an_hour_and_the_others_in_turn():
    scene = Scene(limits=NewcomerLimits(2, 0, 0))
    scene.commit(*(scene.profile(number, None) for number in (5, 6, 7, 8, 9)))
    assert [scene.standing(n) for n in (5, 6, 7, 8, 9)] == ["member"] * 2 + ["waiting"] * 3
    assert scene.roll.next_deadline() == START_MS + HOUR_MS
    scene.commit(at_ms=HOUR_MS - 1)
    assert scene.standing(7) == "waiting"
    scene.commit(at_ms=HOUR_MS)
    assert [scene.standing(n) for n in (7, 8, 9)] == ["member", "member", "waiting"]
    scene.commit(at_ms=2 * HOUR_MS)
    assert (scene.standing(9), scene.roll.next_deadline()) == ("member", None)


def test_newcomer_has_no_vote_until_its_probation_is_over():
    scene = Scene(limits=NewcomerLimits(0, 0, 2))
    scene.commit(scene.profile(5, None))
    scene.commit(scene.profile(6, None), at_ms=10)
    assert dict(scene.roll.newcomers) == {
        author(5): START_MS + 2 * HOUR_MS,
        author(6): START_MS + 2 * HOUR_MS + 10,
    }
    assert author(5) not in scene.roll.members
    scene.commit(at_ms=2 * HOUR_MS)
    assert [scene.standing(number) for number in (5, 6)] == ["member", "newcomer"]
    assert author(5) in scene.roll.members


def test_member_vouches_for_who_waits_or_is_on_probation():
    scene = Scene(limits=NewcomerLimits(1, 0, 2))
    scene.commit(scene.profile(5, None), scene.profile(6, None))
    scene.commit(scene.word(5, Vouching(author(6))))
    assert [scene.standing(number) for number in (5, 6)] == ["newcomer", "waiting"]
    scene.commit(*(scene.word(0, Vouching(author(number))) for number in (5, 6)))
    assert [scene.standing(number) for number in (5, 6)] == ["member", "member"]


def test_who_wait_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("consensus.roll.WAITING_MAX", 2)
    scene = Scene(limits=NewcomerLimits(1, 0, 0))
    scene.commit(*(scene.profile(number, None) for number in (5, 6, 7, 8)))
    assert [scene.standing(number) for number in (6, 7, 8)] == ["waiting", "waiting", ""]
    assert WAITING_MAX > 2


def test_damaged_snapshot_changes_nothing():
    scene = Scene()
    before = scene.roll.root()
    with pytest.raises(MalformedMessage):
        scene.roll.restore(b"junk")
    assert scene.roll.root() == before


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.integers(2, 9), st.integers(0, 4), st.integers(1, 2)),
        st.tuples(st.just("stray"), st.integers(2, 9), st.none(), st.none()),
        st.tuples(st.just("back"), st.integers(0, 4), st.integers(1, 2), st.none()),
        st.tuples(st.just("leave"), st.integers(0, 9), st.none(), st.none()),
        st.tuples(st.just("vouch"), st.integers(0, 4), st.integers(2, 9), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 90), st.none(), st.none()),
    ),
    max_size=30,
)


def play(scene: Scene, steps: Sequence[tuple]) -> None:
    now_ms = 0
    for name, first, second, third in steps:
        match name:
            case "come":
                profile = scene.profile(first, second, bearer=third, uses=2)
                scene.commit(profile, at_ms=now_ms)
            case "stray":
                scene.commit(scene.profile(first, None), at_ms=now_ms)
            case "back":
                scene.commit(scene.word(first, InvitationRevocation(key_of(second))), at_ms=now_ms)
            case "leave":
                scene.commit(scene.word(first, IdentityRevocation("")), at_ms=now_ms)
            case "vouch":
                scene.commit(scene.word(first, Vouching(author(second))), at_ms=now_ms)
            case _:
                now_ms += first * 60_000
                scene.commit(at_ms=now_ms)


@given(_STEPS, st.integers(0, 30))
def test_any_history_gives_one_state_and_goes_on_from_any_snapshot(steps, cut: int):
    limits = NewcomerLimits(1, 0, 1)
    scene, again = Scene(limits=limits), Scene(limits=limits)
    play(scene, steps)
    looked_at = again.roll.members
    for number, (commit, vertices) in enumerate(scene.commits):
        if number == cut:
            restored = Roll(again.genesis)
            restored.restore(again.roll.snapshot())
            again.roll, looked_at = restored, restored.members
        again.roll.apply(commit, vertices)
    assert again.roll.root() == scene.roll.root()
    assert again.roll.next_deadline() == scene.roll.next_deadline()
    assert sorted(looked_at) == sorted(scene.roll.members)
    assert dict(again.roll.gone) == dict(scene.roll.gone)
    assert list(again.roll.newcomers) == list(scene.roll.newcomers)
    for inviter in range(5):
        for bearer in (1, 2):
            uses = again.roll.count_uses(author(inviter), key_of(bearer))
            assert uses == scene.roll.count_uses(author(inviter), key_of(bearer)) <= 2


@given(_STEPS)
def test_nobody_who_is_out_comes_back(steps):
    scene = Scene(limits=NewcomerLimits(2, 0, 1))
    gone: dict[bytes, str] = {}
    for step in steps:
        play(scene, [step])
        for member in gone:
            assert scene.roll.is_gone(member)
            assert member not in scene.roll.members
        gone = {member: record.standing for member, record in scene.roll.gone.items()}


def test_what_looked_at_the_roll_sees_what_is_taken_up():
    scene = Scene()
    members, gone = scene.roll.members, scene.roll.gone
    scene.commit(scene.profile(5), scene.profile(6))
    other = Roll(scene.genesis)
    view = other.members
    other.restore(scene.roll.snapshot())
    assert list(view) == list(members)
    assert dict(other.gone) == dict(gone)
