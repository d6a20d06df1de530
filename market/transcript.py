"""What passed under a contract, as one digest that grows with it.

Both ends chain what went over the wire: the question, then every piece of the answer. Equal roots
mean that both have seen the same bytes. A salt that only the two of them know begins the chain, so
that nobody can find out by guessing what a root on the chain stands for.
"""

from __future__ import annotations

from typing import Final

from dag.canonical import compute_digest

TRANSCRIPT_DOMAIN: Final = b"meshnode/transcript/1"


class Transcript:
    """A chain of digests over everything that passed."""

    def __init__(self, network: bytes, contract: bytes, salt: bytes) -> None:
        self._root = compute_digest(TRANSCRIPT_DOMAIN, network + contract + salt)

    @property
    def root(self) -> bytes:
        """The digest of all of it."""
        return self._root

    def extend(self, data: bytes) -> None:
        """More has passed."""
        self._root = compute_digest(TRANSCRIPT_DOMAIN, self._root + data)
