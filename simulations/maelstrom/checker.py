"""Judges the history of a grow-only set: nothing lost, nothing out of nothing, and how soon seen.

A value is known from its acknowledgement on, or from the first read that shows it. From then on it
must reach every node: each node's final read shows it. How long that took is its stable latency:
from when it was known to the start of the last read, of any node, that did not show it. Both are
as Jepsen's `set-full` has them, so figures compare with those of the real Maelstrom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from simulations.maelstrom.history import Operation

Read = tuple[Operation, frozenset[int]]
"""A read that was answered, and what it showed."""
SHOWN_MAX: Final = 20
"""Values named of each kind of mistake."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is worth."""

    operations: int
    acknowledged: int
    refused: int
    """Requests that certainly did nothing."""
    unknown: int
    """Requests of which nobody knows."""
    lost: tuple[int, ...]
    """Values that were known, and that some node's final read does not show."""
    phantoms: tuple[int, ...]
    """Values read that nobody had added by then, or whose addition was refused."""
    duplicates: tuple[int, ...]
    """Values that one read shows twice."""
    unread: tuple[str, ...]
    """Nodes whose final read was not answered."""
    stable_median_ms: int
    stable_p95_ms: int
    stable_max_ms: int

    @property
    def is_valid(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.phantoms or self.duplicates or self.unread)


def check(history: Sequence[Operation]) -> Verdict:
    """Judge a history that ends in a final read of each node."""
    adds = {operation.value: operation for operation in history if operation.kind == "add"}
    reads = [
        (operation, frozenset(operation.values))
        for operation in history
        if operation.kind == "read" and operation.outcome == "ok"
    ]
    known_ms = _find_known(adds, reads)
    finals = [shown for read, shown in reads if read.is_final]
    doubled = [
        value
        for read, shown in reads
        if len(shown) < len(read.values)
        for value, times in Counter(read.values).items()
        if times > 1
    ]
    latencies_ms = sorted(_measure(value, since, reads) for value, since in known_ms.items())
    return Verdict(
        operations=len(history),
        acknowledged=sum(add.outcome == "ok" for add in adds.values()),
        refused=sum(operation.outcome == "failed" for operation in history),
        unknown=sum(operation.outcome == "unknown" for operation in history),
        lost=_show(value for value in known_ms if any(value not in shown for shown in finals)),
        phantoms=_show(_find_phantoms(adds, reads)),
        duplicates=_show(doubled),
        unread=tuple(one.node for one in history if one.is_final and one.outcome != "ok"),
        stable_median_ms=_quantile(latencies_ms, 50),
        stable_p95_ms=_quantile(latencies_ms, 95),
        stable_max_ms=_quantile(latencies_ms, 100),
    )


def _find_known(adds: Mapping[int, Operation], reads: Sequence[Read]) -> dict[int, int]:
    """Since when each value that was added is known."""
    known_ms = {value: add.ended_ms for value, add in adds.items() if add.outcome == "ok"}
    for read, shown in reads:
        for value in shown & adds.keys():
            known_ms[value] = min(known_ms.get(value, read.ended_ms), read.ended_ms)
    return dict(sorted(known_ms.items()))


def _find_phantoms(adds: Mapping[int, Operation], reads: Sequence[Read]) -> list[int]:
    phantoms = []
    for read, shown in reads:
        for value in shown:
            add = adds.get(value)
            if add is None or add.outcome == "failed" or add.begun_ms > read.ended_ms:
                phantoms.append(value)
    return phantoms


def _measure(value: int, known_ms: int, reads: Sequence[Read]) -> int:
    """How long after it was known the last read began that did not show a value."""
    blind_ms = [read.begun_ms + 1 for read, shown in reads if value not in shown]
    return max(0, max(blind_ms, default=0) - known_ms)


def _quantile(ordered_ms: Sequence[int], percent: int) -> int:
    """The nearest rank; 0 of nothing."""
    if not ordered_ms:
        return 0
    rank = -(-percent * len(ordered_ms) // 100)
    return ordered_ms[max(rank, 1) - 1]


def _show(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(dict.fromkeys(values))[:SHOWN_MAX])
