"""Baselines that look at more than counts of requests: latencies, prompts and caches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from simulations.serving.baselines import Baseline
from simulations.serving.port import Attempt
from simulations.serving.traces import Request

if TYPE_CHECKING:
    import random


class PeakEwma(Baseline):
    """Peak-EWMA of Finagle and Linkerd: P2C on peak latency times requests under way.

    A latency above the mean replaces it, one below moves it with a decay of 10 s; a replica that
    never answered costs a penalty once something is under way there. Latency is the time to the first
    token, as proxies count it that release a request with its first data.
    Source: twitter/finagle, PeakEwma.scala.
    """

    DECAY_MS: Final = 10_000.0
    PENALTY_MS: Final = 1e9

    def __init__(self, replicas: int, stream: random.Random) -> None:
        super().__init__(replicas, stream)
        self._cost_ms = [0.0] * replicas
        self._stamp_ms = [0] * replicas

    def pick(self, now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The better of two."""
        pair = self.stream.sample(usable, min(2, len(usable)))
        return self.pick_least([(self._load(now_ms, one), one) for one in pair])

    def _load(self, now_ms: int, replica: int) -> float:
        self._observe(now_ms, replica, 0.0)
        pending = len(self.view.open[replica])
        if self._cost_ms[replica] == 0.0 and pending:
            return self.PENALTY_MS + pending
        return self._cost_ms[replica] * (pending + 1)

    def on_first(self, now_ms: int, attempt: Attempt, /) -> None:
        """Learn a latency."""
        self._observe(now_ms, attempt.replica, float(now_ms - attempt.sent_ms))

    def _observe(self, now_ms: int, replica: int, latency_ms: float) -> None:
        passed_ms = max(0, now_ms - self._stamp_ms[replica])
        self._stamp_ms[replica] = now_ms
        if latency_ms > self._cost_ms[replica]:
            self._cost_ms[replica] = latency_ms
        else:
            kept = math.exp(-passed_ms / self.DECAY_MS)
            self._cost_ms[replica] = self._cost_ms[replica] * kept + latency_ms * (1 - kept)


class HotCold(Baseline):
    """Hot-cold lexicographic, the rule of Prequal (Wydrowski et al., NSDI 2024).

    A replica with more requests than the quantile 2^-0.25 of all that were probed is hot. Of the cold
    ones the one with the least latency as it estimates it; if all are hot, the one with the fewest
    requests. Own sends since a probe are added to it. Prequal probes three replicas for each
    query and keeps 16 answers for a second; with eight replicas that all answer every second the pool
    is whole, which favours this baseline.
    """

    QUANTILE: Final = 2**-0.25

    def pick(self, _now_ms: int, _request: Request, usable: Sequence[int], /) -> int:
        """The fastest cold one, or the least hot one."""
        loads = {one: self.view.count_requests(one) for one in usable}
        ordered = sorted(loads.values())
        limit = ordered[min(len(ordered) - 1, int(self.QUANTILE * len(ordered)))]
        cold = [one for one in usable if loads[one] < limit]
        if cold:
            return self.pick_least([(self._tell_latency_ms(one), one) for one in cold])
        return self.pick_least([(loads[one], one) for one in usable])

    def _tell_latency_ms(self, replica: int) -> float:
        status = self.view.status[replica]
        return self.view.rtt_ms[replica] + (status.latency_ms if status is not None else 0.0)


class LMetric(Baseline):
    """Prompt tokens to compute there, times its batch (Zhang et al., 2026, arXiv 2603.15202).

    Both with the request itself: tokens queued and those of this prompt that the replica's digest
    does not hold, times the requests there and this one. It has no weights.
    """

    def pick(self, _now_ms: int, request: Request, usable: Sequence[int], /) -> int:
        """The least product."""
        view = self.view
        return self.pick_least(
            [
                (
                    (view.count_tokens(one) + view.count_miss(one, request))
                    * (view.count_requests(one) + 1),
                    one,
                )
                for one in usable
            ]
        )


class Gorgo(Baseline):
    """Round trip, own prefill and queue in one cost (Toniolo et al., 2026, arXiv 2602.11688).

    `0.276 * rtt + rate * (uncached + 0.5 * queued)` with the weights its authors tuned and one rate
    for the whole fleet, that of the mean replica. Its authors count what the one proxy sent; here,
    where there are several routers, it gets the replicas' reports too.
    """

    RTT_WEIGHT: Final = 0.276
    QUEUE_WEIGHT: Final = 0.5
    MS_PER_TOKEN: Final = 0.1
    """Of the fleet's mean replica, which computes about 10,000 tokens a second."""

    def pick(self, _now_ms: int, request: Request, usable: Sequence[int], /) -> int:
        """The least cost."""
        view = self.view
        return self.pick_least(
            [
                (
                    self.RTT_WEIGHT * view.rtt_ms[one]
                    + self.MS_PER_TOKEN
                    * (view.count_miss(one, request) + self.QUEUE_WEIGHT * view.count_tokens(one)),
                    one,
                )
                for one in usable
            ]
        )


class CacheAware(Baseline):
    """The cache-aware policy of the SGLang router, with the thresholds it ships with.

    Each router keeps a tree of what it sent to whom. If loads differ by over 64 requests and by the
    factor 1.5, the least loaded; else whoever was sent at least 0.3 of the prompt before; else who has
    the smallest tree. Source: sgl-project/sglang, router, `cache_aware`.
    """

    MATCH: Final = 0.3
    BALANCE_ABS: Final = 64
    BALANCE_REL: Final = 1.5
    TREE_BLOCKS_MAX: Final = 8_192

    def __init__(self, replicas: int, stream: random.Random) -> None:
        super().__init__(replicas, stream)
        self._trees: list[dict[int, None]] = [{} for _ in range(replicas)]

    def pick(self, _now_ms: int, request: Request, usable: Sequence[int], /) -> int:
        """By balance, by match, or by room."""
        loads = {one: len(self.view.open[one]) for one in usable}
        most, least = max(loads.values()), min(loads.values())
        if most - least > self.BALANCE_ABS and most > self.BALANCE_REL * least:
            return self.pick_least([(loads[one], one) for one in usable])
        matched = {one: self._match(one, request) for one in usable}
        best = max(usable, key=matched.__getitem__)
        if request.blocks and matched[best] / len(request.blocks) > self.MATCH:
            return best
        return self.pick_least([(len(self._trees[one]), one) for one in usable])

    def on_sent(self, now_ms: int, attempt: Attempt, /) -> int | None:
        """Remember whom it was sent to."""
        super().on_sent(now_ms, attempt)
        tree = self._trees[attempt.replica]
        for block in reversed(attempt.request.blocks):
            tree.pop(block, None)
            tree[block] = None
        surplus = len(tree) - self.TREE_BLOCKS_MAX
        for block in [block for block, _ in zip(tree, range(surplus), strict=False)]:
            del tree[block]
        return None

    def _match(self, replica: int, request: Request) -> int:
        tree = self._trees[replica]
        count = 0
        for block in request.blocks:
            if block not in tree:
                break
            count += 1
        return count
