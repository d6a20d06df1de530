"""Questions that are asked through a node: how many are under way, how they end, how long it takes.

Whoever asks, by the library, the command line or HTTP, asks through `AskingMethods.stream`, where
each question is watched.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError
from meshnode.errors import MeshError
from meshnode.shell.event_meter import Work
from meshnode.shell.measures import Distribution, Spread, Tally
from meshnode.shell.telemetry import Snapshot
from meshnode.views import Finished, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.views import Answer, StreamItem

DURATION_BOUNDS_MS: Final = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000)
FIRST_TOKEN_BOUNDS_MS: Final = (20, 50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 15_000, 30_000)
NOBODY: Final = "none"
"""The model of a question that nobody began to answer."""
ANSWERED: Final = "ok"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Every question asked through a node, so far."""

    running: int
    """Somebody is answering."""
    waiting: int
    """Nobody has begun to answer."""
    ended: list[tuple[tuple[str, ...], int]]
    """By model and outcome."""
    tokens: list[tuple[tuple[str, ...], int]]
    """By model and direction."""
    duration: Spread
    first_token: Spread
    spent_uruv: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """The node's own part in the market, and the market's size."""

    orders: dict[str, int]
    """Own open orders, by side."""
    money_uruv: dict[str, int]
    """Own money, by what binds it."""
    contracts: int
    """Own live contracts."""
    trades: int
    """Of everybody, since the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What a node measures of itself and its status does not tell."""

    telemetry: Snapshot
    work: Work
    questions: Questions
    market: Trade


class QuestionMeter:
    """Watches the questions of one node."""

    def __init__(self) -> None:
        self._under_way: dict[Watched, None] = {}
        self._ended = Tally()
        self._tokens = Tally()
        self._duration = Distribution(DURATION_BOUNDS_MS)
        self._first_token = Distribution(FIRST_TOKEN_BOUNDS_MS)
        self._spent_uruv = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """Count a question from here to the end of the block, however it ends."""
        watched = Watched()
        self._under_way[watched] = None
        self._quiet.clear()
        outcome = FAILED
        try:
            yield watched
            outcome = ANSWERED
        except (GeneratorExit, asyncio.CancelledError):
            # Whoever took the last word and left was answered.
            outcome = CANCELLED if watched.answer is None else ANSWERED
            raise
        except MeshError as error:
            outcome = error.fault.value if isinstance(error, EngineError) else error.code
            raise
        finally:
            self._end(watched, outcome)

    def _end(self, watched: Watched, outcome: str) -> None:
        del self._under_way[watched]
        if not self._under_way:
            self._quiet.set()
        self._ended.add(watched.model, outcome)
        answer = watched.answer
        if answer is None:
            return
        self._duration.observe(answer.total_ms)
        self._first_token.observe(answer.first_token_ms)
        self._tokens.add(answer.model, "in", amount=answer.usage.prompt_tokens or 0)
        self._tokens.add(answer.model, "out", amount=answer.usage.completion_tokens or 0)
        if answer.payment is not None:
            self._spent_uruv += answer.payment.cost_uruv

    async def wait_quiet(self, *, timeout_ms: int) -> None:
        """Until no question is under way, or the time is over."""
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await self._quiet.wait()
        except TimeoutError:
            return  # they end with the node

    def read(self) -> Questions:
        """Everything so far."""
        running = sum(watched.model != NOBODY for watched in self._under_way)
        return Questions(
            running=running,
            waiting=len(self._under_way) - running,
            ended=self._ended.list_counts(),
            tokens=self._tokens.list_counts(),
            duration=self._duration.read(),
            first_token=self._first_token.read(),
            spent_uruv=self._spent_uruv,
        )


class Watched:
    """One question."""

    def __init__(self) -> None:
        self.model = NOBODY
        self.answer: Answer | None = None

    def note(self, item: StreamItem) -> None:
        """Take in a piece of its answer."""
        if isinstance(item, Started):
            self.model = item.model
        elif isinstance(item, Finished):
            self.model, self.answer = item.answer.model, item.answer
