"""Routing policies of others, made again from what was published of them, with its own numbers.

All see what ours sees: reports on replies and by probe, digests of caches, and their own book of
what they sent. All pass over replicas that failed, refused or fell silent, and try another one at
most twice, within a budget of a fifth of all requests.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from simulations.serving.port import Attempt, Failure, Placement, Refusal, Status
from simulations.serving.traces import Request
from simulations.serving.view import View

if TYPE_CHECKING:
    import random

ATTEMPTS_MAX: Final = 3
RETRY_SHARE: Final = 0.2
RETRIES_FLOOR: Final = 3


class Baseline:
    """What all baselines do alike; each says only whom it picks."""

    def __init__(self, replicas: int, stream: random.Random) -> None:
        self.view = View(replicas)
        self.stream = stream
        self._requests = 0
        self._retries = 0

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The replica to ask, of those that may be."""
        raise NotImplementedError

    # --- the port -------------------------------------------------------------------------------

    def choose(self, now_ms: int, request: Request, _first_token_ms: int, /) -> Placement | Refusal:
        """See `Policy`."""
        self._requests += 1
        return Placement(self.pick(now_ms, request, self.view.list_usable(now_ms)))

    def retry(
        self,
        now_ms: int,
        attempt: Attempt,
        failure: Failure,
        tried: tuple[int, ...],
        _first_token_ms: int,
        /,
    ) -> Placement | Refusal:
        """See `Policy`."""
        tried = (*tried, attempt.replica)
        if len(tried) >= min(ATTEMPTS_MAX, self.view.replicas):
            return Refusal(failure)
        if self._retries >= RETRIES_FLOOR + RETRY_SHARE * self._requests:
            return Refusal("budget")
        self._retries += 1
        usable = self.view.list_usable(now_ms, tried)
        return Placement(self.pick(now_ms, attempt.request, usable))

    def hedge(
        self, _now_ms: int, _attempt: Attempt, _tried: tuple[int, ...], /
    ) -> Placement | Refusal:
        """See `Policy`; no baseline hedges."""
        return Refusal("no hedging")

    def on_sent(self, _now_ms: int, attempt: Attempt, /) -> int | None:
        """See `Policy`."""
        self.view.on_sent(attempt)
        return None

    def on_first(self, _now_ms: int, _attempt: Attempt, /) -> None:
        """See `Policy`."""

    def on_end(self, _now_ms: int, attempt: Attempt, /) -> None:
        """See `Policy`."""
        self.view.on_over(attempt)

    def on_failed(
        self, now_ms: int, attempt: Attempt, failure: Failure, retry_after_ms: int, /
    ) -> None:
        """See `Policy`."""
        self.view.on_failed(now_ms, attempt, failure, retry_after_ms)

    def on_cancelled(self, _now_ms: int, attempt: Attempt, /) -> None:
        """See `Policy`."""
        self.view.on_over(attempt)

    def on_status(self, now_ms: int, replica: int, status: Status, rtt_ms: float | None, /) -> None:
        """See `Policy`."""
        self.view.on_status(now_ms, replica, status, rtt_ms)

    def on_digest(
        self, _now_ms: int, replica: int, added: Sequence[int], removed: Sequence[int], /
    ) -> None:
        """See `Policy`."""
        self.view.on_digest(replica, added, removed)

    def find_silent(self, _now_ms: int, /) -> Collection[int]:
        """See `Policy`; no baseline asks others."""
        return ()

    def on_witness(self, now_ms: int, replica: int, reached: bool, /) -> None:  # noqa: FBT001
        """See `Policy`."""

    def find_lost(self, now_ms: int, /) -> Collection[int]:
        """See `Policy`."""
        return self.view.find_lost(now_ms)

    def count(self) -> dict[str, int]:
        """See `Policy`."""
        return {}

    # --- help for those who pick ------------------------------------------------------------------

    def pick_least(self, costs: Sequence[tuple[float, int]]) -> int:
        """The replica of the least cost; ties by lot."""
        least = min(cost for cost, _ in costs)
        return self._draw([replica for cost, replica in costs if cost == least])

    def _draw(self, replicas: Sequence[int]) -> int:
        return replicas[int(self.stream.random() * len(replicas))]


class Random(Baseline):
    """Any replica, all equally likely."""

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """By lot."""
        return self._draw(usable)


class RoundRobin(Baseline):
    """One after the other, beginning somewhere."""

    def __init__(self, replicas: int, stream: random.Random) -> None:
        super().__init__(replicas, stream)
        self._next = int(stream.random() * replicas)

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The next one that may be asked."""
        while self._next not in usable:
            self._next = (self._next + 1) % self.view.replicas
        chosen = self._next
        self._next = (chosen + 1) % self.view.replicas
        return chosen


class PowerOfTwo(Baseline):
    """Two by lot, the one with fewer own requests under way (P2C: Mitzenmacher 2001; Envoy)."""

    choices = 2

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The better of two."""
        drawn = self.stream.sample(usable, min(self.choices, len(usable)))
        return self.pick_least([(len(self.view.open[one]), one) for one in drawn])


class ShortestQueue(Baseline):
    """Join the shortest queue, by reports and what was sent since; of `sampled`, or of all (0)."""

    sampled = 0

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The one with the fewest requests."""
        if self.sampled and len(usable) > self.sampled:
            usable = self.stream.sample(usable, self.sampled)
        return self.pick_least([(self.view.count_requests(one), one) for one in usable])


class ShortestOfTwo(ShortestQueue):
    """JSQ(2), the supermarket model of Mitzenmacher (2001) and Vvedenskaya et al. (1996)."""

    sampled = 2
