"""A deterministic stream of bytes: the only source of chance in the core.

The shell seeds it from the operating system and records the seed, so a recorded life replays with
the same nonces and the same jitter.
"""

from __future__ import annotations

import hashlib
from typing import Final

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
        return value_ms - spread // 2 + int.from_bytes(self.draw()[:8], "big") % (spread + 1)
