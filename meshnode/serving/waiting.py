"""Questions that wait until somebody can be asked: woken by news of peers, and never for long.

Waiting is no attempt and costs nobody anything. It has an end: the question's own deadline, or
half a minute, after which a peer that has not come back is no longer expected.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Final

from meshnode.routing.decision import Decision, Obstacle, Reason
from meshnode.routing.draws import derive
from meshnode.routing.eligibility import find_offer
from meshnode.routing.failover import find_backoff_ms

if TYPE_CHECKING:
    from meshnode.routing.query import Query
    from meshnode.routing.report import Report
    from meshnode.serving.dispatcher import Dispatcher
    from meshnode.serving.port import MeshPort

WAIT_MS_MAX: Final = 30_000
"""So long a question waits altogether, and so long a peer that has gone is expected back."""
LOOK_MS: Final = 1_000
"""Without news a question looks again after this: what was out of limits may be within them."""
JITTER_MS: Final = 100
"""Those who wait for one peer do not all ask it in the same moment."""
WAITING_MAX: Final = 1_024
"""Questions that wait at once; further ones hear at once what stands against them."""
ABSENT_MAX: Final = 256
"""Peers that are expected back."""
_PASSING: Final = frozenset({Obstacle.COOLDOWN, Obstacle.BREAKER, Obstacle.DEAD})
"""What keeps a replica from taking a question now, and passes by itself."""
_JITTER, _BACKOFF = range(2)


class Absent:
    """Peers that served something, and have gone without a goodbye: they may be back soon."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Report, int]] = {}

    def add(self, peer: str, report: Report, *, now_ms: int) -> None:
        """A peer is gone; this was its last report."""
        if report.models and report.shareable and not report.draining:
            self._found.pop(peer, None)
            self._found[peer] = report, now_ms
            if len(self._found) > ABSENT_MAX:
                del self._found[next(iter(self._found))]

    def remove(self, peer: str) -> None:
        """A peer has said anew what it serves."""
        self._found.pop(peer, None)

    def serves(self, query: Query, *, now_ms: int) -> bool:
        """Whether one of them could take a query once it is back."""
        return any(
            now_ms - gone_ms < WAIT_MS_MAX
            and query.peer in {"", peer}
            and find_offer(report, query)[0] is not None
            for peer, (report, gone_ms) in self._found.items()
        )


class WaitingRoom:
    """Where questions of one node wait for news of its peers."""

    def __init__(self, port: MeshPort) -> None:
        self._port = port
        self._waiting: dict[asyncio.Event, None] = {}
        self._following: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further question may wait."""
        return len(self._waiting) >= WAITING_MAX

    def ring(self) -> None:
        """There is news."""
        for news in self._waiting:
            news.set()

    async def wait(self, timeout_ms: int, *, jitter_ms: int) -> None:
        """Until a moment after the next news, at most so long."""
        news = asyncio.Event()
        self._waiting[news] = None
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(
                self._port.follow_peers(self.ring), name="follow peers"
            )
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await news.wait()
                await asyncio.sleep(jitter_ms / 1_000)
        except TimeoutError:
            return
        finally:
            del self._waiting[news]
            if not self._waiting:
                self._following.cancel()

    async def close(self) -> None:
        """End what runs behind those that wait."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})


class Waiter:
    """One question, from the moment in which nobody can be asked."""

    def __init__(
        self,
        port: MeshPort,
        dispatcher: Dispatcher,
        query: Query,
        *,
        deadline_ms: int,
        passed: tuple[str, ...],
        rests: int,
        is_spent: bool,
        is_charged: bool,
    ) -> None:
        """`passed` were asked in vain: for a pause that doubles with `rests` they are left alone.

        Where its attempts in a row are spent, so is everybody else. `is_charged` where asking again
        counts against the retry budget.
        """
        self._port = port
        self._dispatcher = dispatcher
        self._query = query
        self._deadline_ms = deadline_ms
        self._passed = passed
        self._rests = rests
        self._is_spent = is_spent
        self._is_charged = is_charged

    async def find_place(self, *, ends_ms: int, draw: int) -> tuple[Query, Decision]:
        """Where the question goes once somebody can take it; nowhere where there is no hope.

        Until `ends_ms`.
        """
        now_ms = self._port.read_clock_ms()
        pause_ms = find_backoff_ms(self._rests, derive(draw, _BACKOFF)) if self._passed else 0
        rested_ms = now_ms + pause_ms
        room = self._dispatcher.room
        if self._is_spent:
            await asyncio.sleep(max(0, min(rested_ms, ends_ms) - now_ms) / 1_000)
            now_ms = self._port.read_clock_ms()
            if now_ms >= ends_ms:
                return self._query, Decision(None, Reason.NOT_WORTH, ())
        while True:
            query, decision = self._choose(now_ms, is_rested=now_ms >= rested_ms)
            if decision.chosen is not None:
                if not self._is_charged or self._dispatcher.router.take_retry(now_ms=now_ms):
                    return query, decision
                decision = decision._replace(chosen=None)
                wait_ms = LOOK_MS
            else:
                wait_ms = self._find_wait_ms(
                    query, decision, now_ms=now_ms, left_ms=ends_ms - now_ms
                )
            if wait_ms <= 0 or now_ms >= ends_ms or room.is_full:
                return query, decision
            if now_ms < rested_ms:
                wait_ms = min(wait_ms, rested_ms - now_ms)
            draw = derive(draw, _JITTER)
            await room.wait(min(wait_ms, ends_ms - now_ms), jitter_ms=draw % JITTER_MS)
            now_ms = self._port.read_clock_ms()

    def _choose(self, now_ms: int, *, is_rested: bool) -> tuple[Query, Decision]:
        remaining_ms = max(1, self._deadline_ms - now_ms)
        query = dataclasses.replace(
            self._query,
            tried=self._query.tried if is_rested else (*self._query.tried, *self._passed),
            again=bool(self._passed),
            remaining_ms=remaining_ms,
            first_token_ms=min(self._query.first_token_ms, remaining_ms),
        )
        return self._dispatcher.choose(query)

    def _find_wait_ms(self, query: Query, decision: Decision, *, now_ms: int, left_ms: int) -> int:
        """How long until looking again makes sense; 0 where there is no hope."""
        is_resting = len(query.tried) > len(self._query.tried)
        router = self._dispatcher.router
        obstacles = {
            each.obstacle for each in decision.candidates if not router.is_limited(each.peer)
        }
        if self._dispatcher.absent.serves(query, now_ms=now_ms):
            return LOOK_MS
        if is_resting and Obstacle.TRIED in obstacles:
            return LOOK_MS
        if not obstacles & _PASSING or decision.retry_after_ms > left_ms:
            return 0
        return min(decision.retry_after_ms or LOOK_MS, LOOK_MS)
