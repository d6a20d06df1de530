"""Named streams of random numbers, all from one seed.

Each subsystem draws from its own stream, so that one more draw in one leaves the others as they
were: two runs that differ in one parameter stay comparable event by event.
"""

from __future__ import annotations

import hashlib
import random

SEED_BYTES = 32


def derive_seed(master: int, label: str) -> bytes:
    """The 32 bytes that a label stands for under a master seed."""
    key = master.to_bytes((master.bit_length() + 8) // 8, "big", signed=True)
    return hashlib.blake2b(label.encode(), key=hashlib.sha256(key).digest()).digest()[:SEED_BYTES]


class Streams:
    """Hands out streams by name; the same name is the same stream."""

    def __init__(self, master: int) -> None:
        self.master = master
        self._streams: dict[str, random.Random] = {}

    def get(self, label: str) -> random.Random:
        """The stream of a label, begun where its seed says."""
        stream = self._streams.get(label)
        if stream is None:
            stream = random.Random(int.from_bytes(derive_seed(self.master, label), "big"))  # noqa: S311 - reproducible on purpose
            self._streams[label] = stream
        return stream

    def derive(self, label: str) -> bytes:
        """32 bytes of a label, for what wants a seed of its own."""
        return derive_seed(self.master, label)
