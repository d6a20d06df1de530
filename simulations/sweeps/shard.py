"""Sweeps split over machines that need not know of each other.

A task belongs to a shard by its key, so neither order nor number of tasks matters, and the shards
of any count have every task exactly once. Machines must run the same sources: keys name them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from simulations.errors import SimulationError

SHARDS_MAX: Final = 100_000


class Shard(msgspec.Struct, frozen=True):
    """Part `index` (from 1) of `count`."""

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count <= SHARDS_MAX:
            raise SimulationError(
                f"there is no shard {self}", hint=f"1/N to N/N, N at most {SHARDS_MAX}"
            )

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, key: str) -> bool:
        """Whether the task of a key belongs here."""
        return int(key, 16) % self.count == self.index - 1


WHOLE: Final = Shard()


def parse_shard(text: str) -> Shard:
    """Read `2/3`. Raises `SimulationError`."""
    index, _, count = text.partition("/")
    if not (index.isascii() and index.isdigit() and count.isascii() and count.isdigit()):
        raise SimulationError(f"{text!r} names no shard", hint="write 2/3 for the second of three")
    return Shard(int(index[:9]), int(count[:9]))
