"""Who knows this node already, and need not be shown again how it came to be a member.

Credentials are several times as long as everything else in a handshake. Whoever has taken part in a
connection has admitted them, and keeps them as long as its store; only the PROOF is fresh each time.
An author that lets a handshake fail may have lost its store: it is shown everything the next time.
"""

from __future__ import annotations


class Acquaintances:
    """Authors that have verified this node's PROOF since its start; the longest unseen go first."""

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._authors: dict[bytes, None] = {}

    def __contains__(self, author: bytes) -> bool:
        return author in self._authors

    def add(self, author: bytes) -> None:
        """It takes part with this node."""
        self._authors.pop(author, None)
        self._authors[author] = None
        if len(self._authors) > self._count_max:
            del self._authors[next(iter(self._authors))]

    def discard(self, author: bytes) -> None:
        """A handshake with whoever claims to be it came to nothing."""
        self._authors.pop(author, None)
