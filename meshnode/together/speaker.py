"""One seat of a conversation: who sits there, and what it has said."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from meshnode.errors import DeadlineExceeded, MeshError
from meshnode.together.port import Turn, TurnPort
from meshnode.views import Answer, Contribution, Finished, Progress, Started

FIRST_STAGE = "answer"


@dataclass(slots=True)
class Speaker:
    """A seat, over all rounds."""

    seat: int
    peer: str
    name: str
    sample: int
    answer: Answer | None = None
    """Its last one; of a revision that failed, the one before."""
    error: MeshError | None = None
    """Why it has no answer."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a turn ended."""

    turn: Turn
    contribution: Contribution
    answer: Answer | None
    error: MeshError | None


async def take_turn(port: TurnPort, turn: Turn, name: str) -> Spoken:
    """Ask, and wait for the whole answer. A failure is a part of what is returned."""
    started = False
    try:
        async with (
            asyncio.timeout(turn.timeout_ms / 1_000),
            aclosing(port.stream(turn)) as items,
        ):
            async for item in items:
                if isinstance(item, Started):
                    started, name = True, item.name
                elif isinstance(item, Finished):
                    return _judge_answer(turn, item.answer)
        raise AssertionError("a stream ends with `Finished` or an error")
    except TimeoutError:
        error: MeshError = DeadlineExceeded(
            f"no answer within its part of the time, {turn.timeout_ms} ms", hint="allow more time"
        )
    except MeshError as failure:
        error = failure
    cost_uruv = (turn.spend_uruv or 0) if started else 0
    return Spoken(turn, _make_failed(turn, name, error, cost_uruv), None, error)


def describe(spoken: Spoken) -> Progress:
    """How a turn ended, for who waits."""
    turn, done = spoken.turn, spoken.contribution
    if done.problem:
        detail, state = f"{done.name} failed: {done.problem}", "failed"
    else:
        tokens = done.usage.completion_tokens
        detail = f"{done.name} answered ({done.model}, {'?' if tokens is None else tokens} tokens)"
        state = "answered"
    return Progress(
        stage=turn.stage,
        round=turn.round,
        seat=turn.seat,
        name=done.name,
        state=state,
        detail=detail,
    )


def make_contribution(turn: Turn, answer: Answer) -> Contribution:
    """What an answer adds to the whole."""
    return Contribution(
        stage=turn.stage,
        round=turn.round,
        seat=turn.seat,
        name=answer.name,
        author=answer.author,
        model=answer.model,
        vertex=answer.vertex,
        usage=answer.usage,
        cost_uruv=answer.cost_uruv,
        total_ms=answer.total_ms,
    )


def _judge_answer(turn: Turn, answer: Answer) -> Spoken:
    """An answer that can be compared and built on, or why it cannot."""
    problem = ""
    if not answer.verified:
        problem = "the signed result of its answer has not arrived"
    elif not answer.text.strip():
        problem = "its answer holds no text"
    if not problem:
        return Spoken(turn, make_contribution(turn, answer), answer, None)
    error = MeshError(f"{answer.name}: {problem}", hint="ask again")
    return Spoken(turn, _make_failed(turn, answer.name, error, answer.cost_uruv), None, error)


def _make_failed(turn: Turn, name: str, error: MeshError, cost_uruv: int) -> Contribution:
    return Contribution(
        stage=turn.stage,
        round=turn.round,
        seat=turn.seat,
        name=name or "nobody",
        cost_uruv=cost_uruv,
        problem=error.message,
    )
