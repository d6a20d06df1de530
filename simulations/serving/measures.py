"""Turns the ends of all requests, and what replicas counted, into the figures of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from simulations.serving.outcome import Figures, Outcome, quantile, sample_evenly

if TYPE_CHECKING:
    from simulations.serving.replica import Replica

MS_PER_S: Final = 1_000.0
SAMPLES: Final = 1_001


class LoadWindows:
    """How evenly work is spread, seen every ten seconds."""

    WINDOW_MS: Final = 10_000

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._before = [0.0] * len(replicas)
        self._most = 0.0
        self._mean = 0.0

    def sample(self) -> None:
        """Close a window."""
        now = self.tell_work()
        came = [after - before for after, before in zip(now, self._before, strict=True)]
        self._before = now
        self._most += max(came)
        self._mean += sum(came) / len(came)

    def tell_work(self) -> list[float]:
        """Seconds of computing that prompts take which were let in, by replica."""
        return [
            replica.arrived_tokens / replica.spec.prefill_tokens_per_s for replica in self._replicas
        ]

    @property
    def ratio(self) -> float:
        """Busiest over mean, within windows."""
        return self._most / self._mean if self._mean else 1.0


def compute_figures(
    outcomes: Sequence[Outcome],
    replicas: Sequence[Replica],
    windows: LoadWindows,
    counts: Sequence[Mapping[str, int]],
    *,
    duration_ms: int,
    events: int,
) -> Figures:
    """All figures of a run."""
    answered = [one for one in outcomes if not one.error]
    first_s = sorted(one.first_ms / MS_PER_S for one in answered)
    total = max(1, len(outcomes))
    joint = sum(one.is_joint for one in outcomes)
    work = windows.tell_work()
    mean_work = sum(work) / len(work)
    input_tokens = sum(replica.input_tokens for replica in replicas)
    miss_tokens = sum(replica.miss_tokens for replica in replicas)
    return Figures(
        requests=len(outcomes),
        answered=len(answered),
        ttft_p50=quantile(first_s, 0.5),
        ttft_p95=quantile(first_s, 0.95),
        ttft_p99=quantile(first_s, 0.99),
        whole_p95=quantile(sorted(one.whole_ms / MS_PER_S for one in answered), 0.95),
        tpot_p95_ms=quantile(sorted(one.tpot_ms for one in answered), 0.95),
        good=sum(one.is_good for one in outcomes) / total,
        joint=joint / total,
        joint_per_s=joint / max(1.0, duration_ms / MS_PER_S),
        hit_rate=1.0 - miss_tokens / input_tokens if input_tokens else 0.0,
        errors=_count([one.error for one in outcomes if one.error]),
        retries=sum(one.retries for one in outcomes),
        hedges=sum(one.hedges for one in outcomes),
        wasted_tokens=sum(replica.wasted_tokens for replica in replicas),
        load_ratio=max(work) / mean_work if mean_work else 1.0,
        herd_ratio=windows.ratio,
        events=events,
        counts=_add(counts),
        ttft_s=sample_evenly(first_s, SAMPLES),
    )


def _count(words: Sequence[str]) -> dict[str, int]:
    return {word: words.count(word) for word in sorted(dict.fromkeys(words))}


def _add(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))
