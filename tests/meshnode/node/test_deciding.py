"""Nodes decide together: what one asks all see, and what all see is the same."""

from __future__ import annotations

import asyncio

import pytest

from consensus.committee import Committee
from dag.bodies import CommitteeChange, StakeChange
from dag.genesis import Validator
from dag.types import Kind
from meshnode.errors import CommandRejected, NodeClosed
from meshnode.node import open_node
from meshnode.node.deciding import _describe_change
from meshnode.node.seat_asking import _has_asked, ask_for_seat
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork

LIMIT_S = 30


def open_mesh(count: int):
    return mesh(count, engine=lambda _: None, suite="ed25519")


async def get(node, decision: str, status: str):
    """A decision as a node shows it, once it has come so far."""
    async with asyncio.timeout(LIMIT_S):
        while all(  # noqa: ASYNC110 - the state of decisions sets no event
            one.id != decision for one in await node.decisions(status=status)
        ):
            await asyncio.sleep(0.01)
    return await node.decision(decision)


async def test_question_is_answered_by_members_and_all_see_the_same():
    async with open_mesh(3) as nodes:
        question = await nodes[0].propose("Where to?", options=["north", "south"])
        await nodes[0].vote(question.id, "south", reason="it is warm there")
        for node in nodes:
            await get(node, question.id, "open")
        assert (await nodes[2].status()).unanswered == 1
        assert (await nodes[2].vote(question.id[:12], "1")).kind == "decision"
        await nodes[1].vote(question.id, "SOU")
        shown = [await get(node, question.id, "passed") for node in nodes]
        assert (await nodes[2].status()).unanswered == 0
        assert shown[0] == shown[1] == shown[2]
        found = shown[0]
        assert (found.winner, found.total, found.threshold) == ("south", 3, "1/2")
        assert {option.text: option.weight for option in found.options}["south"] == 2
        ballot = found.ballots[0]
        assert (ballot.author_name, ballot.option, ballot.reason) == (
            "node-1",
            "south",
            "it is warm there",
        )
        with pytest.raises(CommandRejected, match="closed: passed"):
            await nodes[0].vote(question.id, "north")
        summaries = [vertex.summary for vertex in await nodes[0].vertices(kind="decision")]
        assert "asks: Where to?" in summaries
        detail = await nodes[0].vertex(question.id)
        assert detail.body is not None
        assert detail.body["question"] == "Where to?"


async def test_committee_change_passes_with_more_than_two_thirds_of_the_stake():
    async with open_mesh(3) as nodes:
        change = await nodes[0].propose_committee({"node-2": 3}, profile="cft")
        found = await get(nodes[1], change.id, "open")
        assert found.change is not None
        assert (found.change.seats[0].name, found.change.seats[0].stake) == ("node-2", 3)
        assert (found.change.profile, found.threshold, found.electorate) == ("cft", "2/3", "stake")
        assert "stake 3 for node-2" in found.question
        await asyncio.gather(*(node.vote(change.id, "yes") for node in nodes))
        assert (await get(nodes[2], change.id, "passed")).winner == "yes"


async def test_question_expires_at_its_deadline_though_nobody_speaks():
    async with open_mesh(1) as (node,):
        question = await node.propose("Anybody?", closes_in_ms=1_500, options=["yes", "no"])
        found = await get(node, question.id, "expired")
        assert (found.winner, found.ballots) == (None, ())
        assert [one.id for one in await node.decisions()] == [question.id]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"question": ""}, "a question has"),
        ({"options": ["only"]}, "2 to 16"),
        ({"electorate": "all"}, "no electorate"),
        ({"threshold": "most"}, "no threshold"),
        ({"threshold": "1/0"}, "no threshold"),
        ({"threshold": "1/3"}, "at least 1/2"),
        ({"closes_in_ms": -(2**62)}, "deadline"),
    ],
)
async def test_question_that_would_have_no_effect_is_refused(alone, options, why):
    with pytest.raises(CommandRejected, match=why):
        await alone.propose(**{"question": "Why?", **options})


@pytest.mark.parametrize(
    ("stakes", "options", "why"),
    [
        ({"nobody": 1}, {}, "no member is"),
        ({}, {}, "changes nothing"),
        ({"node-1": 1}, {}, "changes nothing"),
        ({"node-1": 0}, {}, "1 to 128"),
        ({"node-1": -1}, {}, "not negative"),
        ({}, {"profile": "pbft"}, "no profile 'pbft'"),
        ({}, {"gc_commits": 10_000_000}, "gc_commits"),
        ({}, {"profile": "cft", "question": "?" * 501}, "a question has"),
    ],
)
async def test_change_that_makes_no_committee_is_refused(alone, stakes, options, why):
    with pytest.raises(CommandRejected, match=why):
        await alone.propose_committee(stakes, **options)


async def test_parameters_can_be_changed_alone(alone):
    change = await alone.propose_committee({}, gc_commits=500)
    found = await get(alone, change.id, "open")
    assert found.change is not None
    assert (found.change.seats, found.change.profile, found.change.gc_commits) == ((), None, 500)


async def test_ballot_that_would_have_no_effect_is_refused(alone):
    question = await alone.propose("Tea or toast?", options=["tea", "toast", "both"])
    for option, why in (("coffee", "no option"), ("t", "no option"), ("4", "no option")):
        with pytest.raises(CommandRejected, match=why):
            await alone.vote(question.id, option)
    with pytest.raises(CommandRejected, match="a reason has"):
        await alone.vote(question.id, "tea", reason="x" * 1_001)
    note = await alone.publish("no question")
    with pytest.raises(CommandRejected, match="is no proposal"):
        await alone.vote(note.id, "tea")
    with pytest.raises(CommandRejected, match="is no vertex id"):
        await alone.vote("xyz", "tea")


async def test_prefix_has_to_be_of_one_decision(alone):
    ids = [(await alone.propose(f"Question {number}?")).id for number in range(17)]
    for decision in ids:
        await get(alone, decision, "open")
    twice = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(CommandRejected, match="decisions begin with"):
        await alone.decision(twice)
    with pytest.raises(CommandRejected, match="no decision begins with"):
        await alone.decision("f" * 64)
    with pytest.raises(CommandRejected, match="no state of a decision"):
        await alone.decisions(status="done")


async def test_stake_is_not_for_those_without_a_seat():
    async with open_mesh(2) as nodes:
        change = await nodes[0].propose_committee({"node-2": 0})
        for node in nodes:
            await get(node, change.id, "open")
        desk = nodes[1]._decisions
        body = desk._find(change.id).body
        other = Committee(1, [Validator(bytes(32), 1)])
        nodes[1]._runtime.decisions.set_committee(other)
        with pytest.raises(CommandRejected, match="a seat in the committee"):
            desk._check_vote(body)


async def test_waiting_ends_with_the_decision_or_the_time(alone, monkeypatch):
    question = await alone.propose("Now?")
    waiting = asyncio.create_task(alone.decision(question.id, wait_ms=LIMIT_S * 1_000))
    assert (await alone.decision(question.id, wait_ms=300)).status == "open"
    await alone.vote(question.id, "yes")
    assert (await waiting).status == "passed"
    assert (await alone.decision(question.id, wait_ms=1_000)).status == "passed"
    with pytest.raises(CommandRejected, match="no time to wait"):
        await alone.decision(question.id, wait_ms=-1)


async def test_waiting_goes_on_for_a_reader_that_fell_behind(alone):
    runtime = alone._runtime
    question = await alone.propose("Now?")
    events = runtime.events
    small = [events(1)]
    runtime.events = lambda: small.pop() if small else events()
    waiting = asyncio.create_task(alone.decision(question.id, wait_ms=LIMIT_S * 1_000))
    await alone.vote(question.id, "yes")
    assert (await waiting).status == "passed"
    assert not small


async def test_waiting_ends_with_the_node():
    async with open_mesh(1) as (node,):
        waiting = asyncio.create_task(node.decision("ab" * 32, wait_ms=LIMIT_S * 1_000))
        await asyncio.sleep(0)
        await node.close()
        with pytest.raises(NodeClosed, match="while it was waited for"):
            await waiting


async def test_closed_node_decides_nothing():
    async with open_mesh(1) as (node,):
        await node.close()
        with pytest.raises(NodeClosed):
            await node.decisions()


@pytest.fixture
async def alone():
    async with open_mesh(1) as (node,):
        yield node


async def test_change_that_is_asked_for_already_is_not_asked_twice(alone):
    change = await alone.propose_committee({}, profile="cft")
    await get(alone, change.id, "open")
    with pytest.raises(CommandRejected, match=f"decision {change.id[:8]} asks for this already"):
        await alone.propose_committee({}, profile="cft")


async def test_long_change_is_asked_in_short(alone):
    names = {bytes([number]) * 32: "x" * 64 for number in range(9)}
    change = CommitteeChange(tuple(StakeChange(author, 1) for author in names))
    assert len(_describe_change(change, names)) == 500


# --- inviting a validator --------------------------------------------------------------------------


def open_one(hub, **options):
    return open_node(transport=hub, suite="ed25519", engine="none", **options)


async def test_who_is_invited_as_a_validator_is_proposed_as_one():
    hub = MemoryNetwork()
    async with open_one(hub, name="ada") as founder:
        ticket = await founder.invite(role="validator")
        async with open_one(hub, ticket=ticket, name="bob") as joiner:
            async with asyncio.timeout(LIMIT_S):
                while not (passed := await founder.decisions(status="passed")):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            found = passed[0]
            assert found.change is not None
            assert [(seat.author, seat.stake) for seat in found.change.seats] == [
                (joiner.author, 1)
            ]
            assert [ballot.reason for ballot in found.ballots] == ["signed the invitation"]
            assert joiner.author[:8] in found.question
            assert await get(joiner, found.id, "passed") == found


async def test_nobody_but_a_validator_invites_a_validator():
    hub = MemoryNetwork()
    async with open_one(hub) as founder:
        ticket = await founder.invite()
        async with open_one(hub, ticket=ticket) as guest:
            with pytest.raises(CommandRejected, match="is no validator"):
                await guest.invite(role="validator")
            assert (await guest.invite()).startswith("mesh1")


async def test_seat_is_asked_for_once_in_a_life(tmp_path):
    hub = MemoryNetwork()
    async with open_one(hub, name="ada") as founder:
        ticket = await founder.invite(role="validator")
        home = tmp_path / "bob"
        async with open_one(hub, home=home, ticket=ticket) as joiner:
            author = joiner.author
            async with asyncio.timeout(LIMIT_S):
                while not await founder.decisions(status="passed"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            (request,) = await joiner.vertices(kind="decision", author=author)
            assert request.summary.startswith("asks for a seat")
        async with open_one(hub, home=home) as joiner:
            await joiner.publish("back")
            assert joiner.author == author
            assert len(await joiner.vertices(kind="decision")) == 1


async def test_seat_is_not_asked_for_by_who_has_one_or_has_asked():
    async with open_mesh(1) as (node,):
        await ask_for_seat(node._runtime, bytes.fromhex(node.author), b"")
        assert await node.vertices(kind="decision") == []
        await node._runtime.publish(Kind.DECISION, b"no body of a decision")
        assert not await _has_asked(node._runtime)
