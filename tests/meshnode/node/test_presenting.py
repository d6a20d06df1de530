"""From the node's own records to the ones people read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from consensus.block import BlockBody, CommitVote, encode_body
from dag import bodies
from dag.bodies import Evidence, Note, Result
from dag.canonical import encode
from dag.errors import Offence
from dag.order import Commit
from dag.types import Kind, Ref
from meshnode.core import events
from meshnode.core.messages import ModelAdvert
from meshnode.node.presenting import (
    describe_problems,
    make_knowledge_text,
    parse_kind,
    show_detail,
    show_event,
    show_vertex,
)
from tests.support.serving_net import make_vertex

AUTHOR = b"\xaa" * 32
COMMIT = Commit(7, b"\x01" * 32, bytes(32), b"b", (Ref(1, AUTHOR), Ref(2, b"b")), 5)
ADVERT = ModelAdvert("m", "r", 0, tools=False, engine="e", label="l")


def make_result(answer: str) -> bytes:
    return encode(Result(b"d", AUTHOR, "m", "", "e", answer, b"d", 6, "stop", 1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("event", "type_name"),
    [
        (events.PeerReady("p", AUTHOR, "n"), "peer_joined"),
        (events.PeerLost("p", AUTHOR, "gone"), "peer_left"),
        (events.PeerServes("p", AUTHOR, (ADVERT,), 1, 0, 0, draining=False), "peer_serving"),
        (events.ForkSeen(AUTHOR, 0, 1, b"1", b"2"), "fork_found"),
        (events.OffenceSeen("p", Offence.MALFORMED, "d"), "offence_counted"),
        (events.Alone((("a", "refused"),)), "no_peers"),
        (events.Committed(COMMIT, 1), "vertices_ordered"),
        (events.VertexAdmitted(make_vertex(AUTHOR), ""), "vertex_seen"),
    ],
)
def test_event_is_shown(event, type_name):
    shown = show_event(event, {})
    assert shown is not None
    assert shown.type == type_name
    assert type(shown).from_json(shown.to_json()) == shown


def test_event_of_no_concern_is_left_out():
    assert show_event(events.Published(1, make_vertex(AUTHOR)), {}) is None


def test_a_block_shows_its_round_and_what_it_votes_for():
    body = encode_body(BlockBody(0, 12, 11, 3, (CommitVote(7, AUTHOR),)))
    shown = show_detail(make_vertex(AUTHOR, kind=Kind.BLOCK, body=body), {})
    assert (shown.vertex.epoch, shown.vertex.round) == (0, 12)
    assert shown.vertex.summary == "round 12, commit 7 reached"
    assert shown.body is not None
    assert shown.body["votes"] == ({"index": 7, "digest": AUTHOR.hex(), "root": ""},)
    broken = show_detail(make_vertex(AUTHOR, kind=Kind.BLOCK, body=b"?"), {})
    assert (broken.body, broken.vertex.round) == (None, None)


@pytest.mark.parametrize(
    ("kind", "body", "summary"),
    [
        (Kind.RESULT, make_result("because"), "m: because"),
        (Kind.RESULT, make_result(""), "m: (6 bytes, digest only)"),
        (Kind.NOTE, encode(Note("text/plain", "", b"x" * 500)), f"{'x' * 99}…"),
        (
            Kind.EVIDENCE,
            encode(Evidence(bodies.Testimony(b"1", b"2", b""), bodies.Testimony(b"3", b"4", b""))),
            "two vertices of one author in one place",
        ),
        (Kind.NOTE, b"\x00", ""),
        (99, b"\x00", ""),
    ],
)
def test_vertex_is_summarised(kind, body, summary):
    signed = make_vertex(AUTHOR, kind, body)
    assert show_vertex(signed, {AUTHOR: "a"}).summary == summary
    detail = show_detail(signed, {})
    assert (detail.body is None) == (not summary)
    assert detail.vertex.author_name == "aaaaaaaa"
    assert type(detail).from_json(detail.to_json()) == detail


def test_knowledge_is_text_only():
    note = make_vertex(AUTHOR, Kind.NOTE, encode(Note("text/plain", "", b"fact")))
    picture = make_vertex(AUTHOR, Kind.NOTE, encode(Note("image/png", "", b"fact")))
    assert make_knowledge_text(note) == "fact"
    assert make_knowledge_text(picture) == ""


def test_kind_is_read_by_name():
    assert parse_kind("result") == Kind.RESULT
    assert parse_kind("opaque-42") == 42


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"halted": "two ways"}, ["two ways"]),
        ({"standing": "no_quorum"}, ["too few validators"]),
        ({"standing": "no_quorum", "waiting": 0}, []),
    ],
)
def test_problems_name_what_keeps_the_order_from_going_on(order, words):
    consensus = SimpleNamespace(**{"halted": "", "standing": "active", "waiting": 1, **order})
    view = SimpleNamespace(speech="open", alone=None, consensus=consensus, refusal="")
    problems = describe_problems(cast("Any", view))
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_a_commit_shows_what_was_said_and_leaves_blocks_out():
    shown = show_event(events.Committed(COMMIT, 1), {})
    assert shown is not None
    assert shown.to_json() == {
        "type": "vertices_ordered",
        "commit_index": 7,
        "commit_digest": "01" * 32,
        "time_ms": 5,
        "vertices": ("aa" * 32,),
        "leader": COMMIT.leader.hex(),
    }


@pytest.mark.parametrize(
    ("speech", "alone", "words"),
    [
        ("open", None, ()),
        ("forked", None, ("another process",)),
        ("open", (), ("no address is known",)),
        ("open", (("/ip4/1", "refused"),), ("tried /ip4/1 (refused): start one",)),
        (
            "open",
            (
                ("/ip4/1/p2p/Qm", "cannot reach Qm: /ip4/1/p2p/Qm: refused, /ip4/2: silent; look"),
                ("/ip4/2", "cannot reach Qm: /ip4/1/p2p/Qm: refused, /ip4/2: silent; look"),
                ("/ip4/1", "cannot reach Qm: /ip4/1: closed, too; look"),
            ),
            ("tried /ip4/1 (closed, too), /ip4/2 (silent): start one",),
        ),
        (
            "open",
            tuple((f"/ip4/{number}", "refused") for number in range(6)),
            ("/ip4/2 (refused), 2 more: start one",),
        ),
    ],
)
def test_problems_name_what_was_tried_and_what_to_do(speech, alone, words):
    order = SimpleNamespace(halted="", standing="active", waiting=1)
    view = SimpleNamespace(speech=speech, alone=alone, consensus=order, refusal="")
    problems = describe_problems(cast("Any", view))
    assert len(problems) == len(words)
    for problem, word in zip(problems, words, strict=True):
        assert word in problem


def test_who_is_refused_is_told_why_and_not_what_was_tried():
    order = SimpleNamespace(halted="", standing="follower", waiting=0)
    view = SimpleNamespace(
        speech="open", alone=(("/ip4/1", "connected"),), consensus=order, refusal="expelled"
    )
    (problem,) = describe_problems(cast("Any", view))
    assert problem.startswith("expelled: ")
