"""Blocks of epochs that have not begun here: they are judged when theirs begins.

Whoever lags meets them when the next committee is ahead of it, and needs all of them then. Anybody
can sign blocks of an epoch that will never be. So their bytes are bounded together, and where the
bound is passed, the newest of whoever holds most goes. A node that lacks a block for that reason
falls behind, and joins from a snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dag.vertex import SignedVertex

EARLY_BYTES_MAX: Final = 67_108_864


class EarlyBlocks:
    """Blocks by author, and the order in which they were admitted."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, list[tuple[int, SignedVertex]]] = {}
        self._bytes: dict[bytes, int] = {}
        self._size_bytes = 0
        self._count = 0
        self._authors: dict[bytes, None] = {}
        """Whose blocks have come, whether or not there was room for them."""

    def __len__(self) -> int:
        return sum(map(len, self._blocks.values()))

    def __contains__(self, author: object) -> bool:
        """Whether blocks of an author have come since the epoch began."""
        return author in self._authors

    def add(self, signed: SignedVertex) -> None:
        """Hold a block; it, or another, goes where there is no room."""
        author, size_bytes = signed.vertex.author, len(signed.wire)
        self._count += 1
        self._authors[author] = None
        self._blocks.setdefault(author, []).append((self._count, signed))
        self._bytes[author] = self._bytes.get(author, 0) + size_bytes
        self._size_bytes += size_bytes
        while self._size_bytes > EARLY_BYTES_MAX:
            self._drop_newest(max(self._bytes, key=self._bytes.__getitem__))

    def _drop_newest(self, author: bytes) -> None:
        _, signed = self._blocks[author].pop()
        size_bytes = len(signed.wire)
        self._bytes[author] -= size_bytes
        self._size_bytes -= size_bytes
        if not self._blocks[author]:
            del self._blocks[author], self._bytes[author]

    def take(self) -> list[SignedVertex]:
        """All of them, as they were admitted; none is held any more."""
        found = sorted(
            (entry for blocks in self._blocks.values() for entry in blocks),
            key=lambda entry: entry[0],
        )
        self._blocks, self._bytes, self._size_bytes, self._authors = {}, {}, 0, {}
        return [signed for _, signed in found]
