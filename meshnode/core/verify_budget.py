"""How many signatures one peer may have checked in vain.

Before anything else is known of a vertex its signatures are checked, which costs more than all that
follows. What is invalid ends the connection, and what is taken in is paid for by its author's share.
In between lies what is valid and of no use: vertices that wait already, those of who is out, those
beyond an author's share, those stamped with next week. A peer may push any number of them, so each has
a budget. Once that is spent its pushes are not read for a moment. Nothing is lost by that: what they
bring others announce, and comparing stores finds the rest. So nobody is charged, and what this node
has asked for is read at any pace.

What is of use is not counted, whatever it comes to: all that a mesh says may come over one branch.
"""

from __future__ import annotations

from typing import Final

from meshnode.core.token_bucket import TokenBucket

GAP_MS: Final = 20
BURST: Final = 200
DEBT_MAX: Final = 200
"""A push is read as a whole, and others were on their way: what they cost beyond is paid back first."""
AUTHORS_MAX: Final = 256
"""Members of whom it is remembered what they have cost, from one connection to the next."""


class VerifyBudget:
    """The budgets of all peers; `is_spent` may be called from any thread."""

    def __init__(self) -> None:
        self._buckets: dict[bytes, TokenBucket] = {}
        self._spent: dict[str, None] = {}

    def is_spent(self, peer: str) -> bool:
        """Whether what a peer pushes is not worth its signatures now."""
        return peer in self._spent

    def note_useless(self, now_ms: int, peer: str, author: bytes) -> None:
        """A peer, which is this author, has pushed what was checked and is of no use."""
        bucket = self._get(author)
        if not bucket.owes(now_ms, DEBT_MAX):
            bucket.spend(now_ms)
        if not bucket.has_token(now_ms):
            self._spent[peer] = None

    def note_unread(self, now_ms: int, peer: str, author: bytes) -> None:
        """A push was passed over; the next may be read once there is something to spend again."""
        if self._get(author).has_token(now_ms):
            self._spent.pop(peer, None)

    def drop_peer(self, peer: str) -> None:
        """A connection has ended; what it has cost its author is remembered."""
        self._spent.pop(peer, None)

    def _get(self, author: bytes) -> TokenBucket:
        bucket = self._buckets.get(author)
        if bucket is None:
            bucket = self._buckets[author] = TokenBucket(GAP_MS, BURST)
            if len(self._buckets) > AUTHORS_MAX:
                del self._buckets[next(iter(self._buckets))]
        return bucket
