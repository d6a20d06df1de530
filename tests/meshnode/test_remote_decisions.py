"""Decisions through the HTTP interface: every argument arrives, every answer comes back."""

from __future__ import annotations

import pytest

from meshnode.client import connect
from meshnode.errors import CommandRejected, MalformedMessage
from tests.support.fake_node import DECISION, VERTEX, open_gateway

DAY_MS = 24 * 3_600_000


@pytest.fixture
async def scene(tmp_path):
    async with open_gateway(tmp_path) as (host, _), connect(tmp_path) as node:
        yield host.node, node


async def test_decisions_are_read_as_the_node_shows_them(scene):
    fake, node = scene
    assert await node.decisions() == [DECISION]
    assert fake.calls[-1] == ("decisions", (), {"status": None})
    assert await node.decisions(status="open") == [DECISION]
    assert fake.calls[-1] == ("decisions", (), {"status": "open"})
    assert await node.decision("ab12") == DECISION
    assert fake.calls[-1] == ("decision", ("ab12",), {"wait_ms": 0})
    assert await node.decision("ab12", wait_ms=50) == DECISION
    assert fake.calls[-1][2] == {"wait_ms": 50}


async def test_question_arrives_with_every_option(scene):
    fake, node = scene
    assert await node.propose("Tea?") == VERTEX
    assert fake.calls[-1] == (
        "propose",
        ("Tea?",),
        {
            "options": ("yes", "no"),
            "closes_in_ms": DAY_MS,
            "electorate": "members",
            "threshold": "1/2",
        },
    )
    await node.propose("T?", options=["a"], closes_in_ms=5, electorate="stake", threshold="2/3")
    assert fake.calls[-1][2] == {
        "options": ("a",),
        "closes_in_ms": 5,
        "electorate": "stake",
        "threshold": "2/3",
    }


async def test_committee_arrives_with_every_option(scene):
    fake, node = scene
    assert await node.propose_committee({"bob": 2, "carol": 0}) == VERTEX
    assert fake.calls[-1] == (
        "propose_committee",
        ({"bob": 2, "carol": 0},),
        {"profile": None, "gc_commits": None, "question": None, "closes_in_ms": 7 * DAY_MS},
    )
    await node.propose_committee({}, profile="cft", gc_commits=9, question="?", closes_in_ms=5)
    assert fake.calls[-1][2] == {
        "profile": "cft",
        "gc_commits": 9,
        "question": "?",
        "closes_in_ms": 5,
    }


async def test_ballot_arrives_with_its_reason(scene):
    fake, node = scene
    assert await node.vote("ab12", "yes", reason="because") == VERTEX
    assert fake.calls[-1] == ("vote", ("ab12", "yes"), {"reason": "because"})


async def test_what_is_no_id_is_not_asked_for(scene):
    _, node = scene
    with pytest.raises(MalformedMessage, match="is not a decision's id"):
        await node.decision("../status")
    with pytest.raises(MalformedMessage, match="is not a decision's id"):
        await node.vote("a/b", "yes")


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: node.propose("?", closes_in_ms=0),
        lambda node: node.propose("?", electorate="all"),
        lambda node: node.propose_committee({"bob": -1}),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_the_door(scene, ask):
    fake, node = scene
    with pytest.raises(MalformedMessage, match="the body cannot be used"):
        await ask(node)
    assert fake.calls == []


async def test_refusal_of_the_node_is_the_clients(scene):
    fake, node = scene
    fake.fails = CommandRejected("closed", hint="too late")
    with pytest.raises(CommandRejected, match="closed; too late"):
        await node.vote("ab12", "yes")
