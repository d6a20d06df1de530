"""Whose vertices a peer does not get from their author, and is therefore handed on at once.

In a full mesh everybody gets a vertex from its author, and nobody hands it on. Where the connection
between two validators is cut, or slow, each block of one would reach the other by a question, and
every round of the whole mesh would wait for that. So whoever has asked for somebody's block is sent
all that author says from then on, as soon as it is admitted here: the blocks, and what they carry.

That ends after a while, because connections come back; if it is still needed, the peer asks again.
"""

from __future__ import annotations

from typing import Final

RELAY_MS: Final = 30_000
AUTHORS_MAX: Final = 64
"""For one peer: a committee is not larger."""


class Relays:
    """By peer, the authors whose vertices it is sent, and until when."""

    def __init__(self) -> None:
        self._relays: dict[str, dict[bytes, int]] = {}

    def note_asked(self, now_ms: int, peer: str, author: bytes) -> None:
        """A peer has asked for a block that it should have got from its author."""
        authors = self._relays.setdefault(peer, {})
        authors.pop(author, None)
        authors[author] = now_ms + RELAY_MS
        if len(authors) > AUTHORS_MAX:
            del authors[next(iter(authors))]

    def list_receivers(self, now_ms: int, author: bytes) -> list[str]:
        """Who is to be sent what an author says."""
        return [
            peer for peer, authors in self._relays.items() if now_ms < authors.get(author, now_ms)
        ]

    def drop_peer(self, peer: str) -> None:
        """A connection has ended."""
        self._relays.pop(peer, None)
