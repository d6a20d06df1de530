"""A deterministic stream of bytes: the only source of chance in the core.

The shell seeds it from the operating system and records the seed, so a recorded life replays with
the same nonces and the same jitter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

SEED_BYTES: Final = 32


class Entropy:
    """SHA-256 over a secret seed and a counter."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            message = f"an entropy seed has {SEED_BYTES} bytes, not {len(seed)}"
            raise ValueError(message)
        self._seed = seed
        self._counter = 0

    def draw(self) -> bytes:
        """The next 32 bytes."""
        block = hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
        self._counter += 1
        return block

    def jitter(self, value_ms: int) -> int:
        """A duration between 80 % and 120 % of the given one."""
        spread = value_ms * 2 // 5
        return value_ms - spread // 2 + self.below(spread + 1)

    def below(self, bound: int) -> int:
        """A number from 0 up to, but not including, the bound."""
        return int.from_bytes(self.draw()[:8], "big") % bound

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """So many of the items in random order, or all where there are fewer."""
        rest = list(items)
        chosen: list[Item] = []
        while rest and len(chosen) < count:
            place = self.below(len(rest))
            rest[place], rest[-1] = rest[-1], rest[place]
            chosen.append(rest.pop())
        return chosen
