"""Where questions go, what is written down of it, and that nobody's account answers for others."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import DeadlineExceeded, NoPeerServes, PolicyRefused
from meshnode.routing.decision import Candidate, Decision, Obstacle, Reason
from meshnode.routing.query import Query
from meshnode.serving import protocol
from meshnode.serving.client import Asker
from meshnode.serving.placing import describe_no_target
from meshnode.serving.question import Question
from tests.support.serving_net import (
    REQUEST,
    ScriptedEngine,
    answer,
    gated,
    make_ask,
    open_raw,
    read_raw,
    serving_net,
    until,
)


def make_candidate(obstacle: Obstacle, detail: str = "no") -> Candidate:
    numbers = dict.fromkeys(
        ("cost_us", "rtt_us", "prefill_us", "decode_us", "penalty_us", "first_token_us"), 0
    )
    tokens = dict.fromkeys(("cached_tokens", "miss_tokens", "queue_tokens", "requests"), 0)
    return Candidate(
        peer="p",
        name="ada",
        model="",
        revision="",
        obstacle=obstacle,
        detail=detail,
        **numbers,
        **tokens,
        slots=1,
        age_ms=0,
        is_cold=True,
        is_suspect=False,
    )


@pytest.mark.parametrize(
    ("obstacles", "kind", "words"),
    [
        ((), NoPeerServes, "no peer is connected"),
        ((Obstacle.OTHER_PEER,), NoPeerServes, "no peer is connected"),
        ((Obstacle.OWNER_ONLY, Obstacle.EXPIRED), PolicyRefused, "owner only"),
        ((Obstacle.OWNER_ONLY, Obstacle.CONTEXT), NoPeerServes, "nobody reachable"),
        ((Obstacle.MODEL,), NoPeerServes, "nobody reachable"),
        ((Obstacle.DEADLINE, Obstacle.DEADLINE), DeadlineExceeded, "in time"),
        ((Obstacle.COOLDOWN, Obstacle.MODEL), EngineError, "right now"),
    ],
)
def test_question_without_a_target_fails_with_one_clear_error(obstacles, kind, words):
    candidates = tuple(make_candidate(each) for each in obstacles)
    error = describe_no_target(Query(), Decision(None, Reason.NONE_ELIGIBLE, candidates, 700))
    assert type(error) is kind
    assert words in error.message
    if isinstance(error, EngineError):
        assert (error.fault, error.retry_after_ms) == (EngineFault.OVERLOADED, 700)


async def test_foreign_question_is_never_served_by_an_account_in_either_direction():
    async with serving_net() as net:
        account = ScriptedEngine(shareable=False, name="moonshot")
        owner, stranger = await net.add("owner", account), await net.add("stranger")
        with pytest.raises(PolicyRefused, match="somebody's own account"):
            await answer(stranger)
        assert not stranger.placements[-1].allowed
        # Whoever asks all the same is refused there, and that is written down, too.
        stream = await open_raw(stranger, owner)
        await stream.send(protocol.encode_frame(make_ask()))
        (refusal,) = await read_raw(stream)
        assert refusal.fault == EngineFault.FORBIDDEN
        row = owner.placements[-1]
        assert (row.role, row.requester, row.owner) == ("serving", stranger.author, owner.author)
        assert (row.backend, row.allowed) == ("account", False)
        assert account.requests == []
        # Its owner is served, by itself.
        assert (await answer(owner)).local
        row = owner.placements[-1]
        assert (row.role, row.backend, row.allowed) == ("asking", "account", True)
        assert all(each.owner == each.requester for each in owner.placements if each.allowed)


async def test_every_placement_is_written_down_on_both_sides():
    async with serving_net() as net:
        host, client = await net.add("host", gated()), await net.add("client")
        tasks = [asyncio.create_task(answer(client)) for _ in range(3)]
        await until(lambda: host.desk.queued == 2)
        with pytest.raises(EngineError):
            await answer(client, timeout_ms=400)
        host.desk.engine.gate.set()
        await asyncio.gather(*tasks)
    assert [row.allowed for row in client.placements] == [True] * 4
    assert {row.reason for row in client.placements} == {"only_candidate"}
    served = [row for row in host.placements if row.allowed]
    assert [(row.requester, row.model) for row in served] == [(client.author, "scripted")] * 3
    (refused,) = [row for row in host.placements if not row.allowed]
    assert "1 requests run and 2 wait" in refused.reason


async def test_asker_without_a_desk_never_uses_the_own_engine():
    async with serving_net() as net:
        node = await net.add("solo", ScriptedEngine())
        other = Asker(node, None, node.asker.dispatcher)
        with pytest.raises(NoPeerServes):
            async with aclosing(other.stream(Question(request=REQUEST))) as items:
                await anext(items)


async def test_explanation_shows_every_candidate_and_asks_nobody():
    async with serving_net() as net:
        engines = [ScriptedEngine(model="m"), ScriptedEngine(model="n")]
        for name, engine in zip("ab", engines, strict=True):
            await net.add(name, engine)
        client = await net.add("client")
        query, decision = client.asker.explain(Question(request=REQUEST, model="n"))
    assert query.model == "n"
    assert decision.chosen is not None
    assert decision.chosen.name == "b"
    assert [each.obstacle for each in decision.candidates] == [Obstacle.MODEL, None]
    assert all(not engine.requests for engine in engines)
    assert client.placements == []


async def test_who_may_not_fit_is_asked_when_nobody_certainly_does():
    async with serving_net() as net:
        engine = ScriptedEngine()
        await net.add("a", engine)
        client = await net.add("client")
        request = {"messages": [], "tools": [{"type": "function"}], "max_tokens": 9_999}
        async with aclosing(client.asker.stream(Question(request=request))) as items:
            assert [item async for item in items]
    assert len(engine.requests) == 1
