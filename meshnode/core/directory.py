"""The keys admission may use: those of known authors, and the own ones from the first moment.

A node that lost its journal does not yet hold its own profile when peers hand its past back to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dag.authors import AuthorRegistry
    from dag.keys import PublicKeys


class Directory:
    """Reads only; safe to call from any thread."""

    def __init__(self, authors: AuthorRegistry, own: bytes, own_keys: PublicKeys) -> None:
        self._authors = authors
        self._own = own
        self._own_keys = own_keys

    def get_keys(self, author: bytes) -> PublicKeys | None:
        """An author's keys, None if it is unknown."""
        keys = self._authors.get_keys(author)
        return self._own_keys if keys is None and author == self._own else keys
