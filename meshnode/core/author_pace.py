"""How fast one author may fill everybody's store, in a mesh too large for its own uplink to bound it.

In a full mesh an author brings each vertex to each peer itself. Above that, others carry it on, so a
single member could spend the bandwidth of all. Here each author has a share of what is taken in:
what is said beyond it waits its turn, neither stored nor passed on, so that every node it comes to
slows it down. An author that forked has a tenth.

Whoever needs a waiting vertex as a parent gets it at once, at its author's cost and within bounds:
otherwise the words of honest members would wait behind those of the one they build on. What most
peers hold already is history, and comes far faster, or a newcomer would never catch up.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshnode.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.identity import VerifiedVertex
    from dag.types import Ref

NEWS_GAP_MS: Final = 50
NEWS_BURST: Final = 200
FORKED_FACTOR: Final = 10
HISTORY_GAP_MS: Final = 1
HISTORY_BURST: Final = 20_000
DEBT_MAX: Final = 200
"""Vertices of one author that others may call for beyond its share."""
AUTHOR_WAITING_MAX: Final = 256
"""As many as one author may have waiting; those beyond come again when stores are compared."""
WAITING_MAX: Final = 2_048
SHARES_MAX: Final = 1_024
"""Authors looked at before those that have their whole share again are forgotten."""

Waiting = tuple[str, "VerifiedVertex"]
"""Who sent a vertex, and the vertex."""


def _make_news() -> TokenBucket:
    return TokenBucket(NEWS_GAP_MS, NEWS_BURST)


def _make_history() -> TokenBucket:
    return TokenBucket(HISTORY_GAP_MS, HISTORY_BURST)


@dataclass(slots=True, eq=False)
class _Share:
    """What one author has said lately."""

    news: TokenBucket = field(default_factory=_make_news)
    history: TokenBucket = field(default_factory=_make_history)
    waiting: OrderedDict[bytes, Waiting] = field(default_factory=OrderedDict)
    """In the order they came, which is that of the author's chain."""
    is_due: bool = False
    """Whether it is in the queue of those that have their turn next."""

    def is_idle(self, now_ms: int) -> bool:
        """Whether nothing is lost by forgetting it."""
        full_ms = max(self.news.full_ms, self.history.full_ms)
        return not self.is_due and full_ms <= now_ms


class AuthorPace:
    """The shares of all authors, and what waits for its turn."""

    def __init__(self) -> None:
        self._shares: dict[bytes, _Share] = {}
        self._authors: dict[bytes, bytes] = {}
        """Who wrote each vertex that waits."""
        self._due: list[tuple[int, bytes]] = []
        """When those have their turn that have something waiting, or had it; each once."""

    def __len__(self) -> int:
        return len(self._authors)

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._authors

    def admit(
        self, now_ms: int, source: str, signed: VerifiedVertex, *, is_news: bool, is_forked: bool
    ) -> bool:
        """Whether a vertex may be taken in now; else it waits, if there is room."""
        share = self._get(now_ms, signed.vertex.author)
        if is_forked:
            share.news.gap_ms = NEWS_GAP_MS * FORKED_FACTOR
            share.news.burst = NEWS_BURST // FORKED_FACTOR
        if signed.id in self._authors:
            return False
        bucket = share.news if is_news else share.history
        if not share.waiting and bucket.take(now_ms):
            return True
        if len(share.waiting) < AUTHOR_WAITING_MAX and len(self._authors) < WAITING_MAX:
            self._wait(now_ms, share, source, signed)
        return False

    def _wait(self, now_ms: int, share: _Share, source: str, signed: VerifiedVertex) -> None:
        author = signed.vertex.author
        share.waiting[signed.id] = (source, signed)
        self._authors[signed.id] = author
        if not share.is_due:
            self._queue(now_ms, share, author)

    def _queue(self, now_ms: int, share: _Share, author: bytes) -> None:
        share.is_due = True
        heapq.heappush(self._due, (share.news.find_next(now_ms), author))

    def _get(self, now_ms: int, author: bytes) -> _Share:
        share = self._shares.get(author)
        if share is None:
            if len(self._shares) >= SHARES_MAX:
                kept = {name: one for name, one in self._shares.items() if not one.is_idle(now_ms)}
                self._shares = kept
            share = self._shares[author] = _Share()
        return share

    def take_due(self, now_ms: int) -> list[Waiting]:
        """What has its turn by now."""
        taken: list[Waiting] = []
        while self._due and self._due[0][0] <= now_ms:
            _, author = heapq.heappop(self._due)
            share = self._shares[author]
            while share.waiting and share.news.take(now_ms):
                taken.append(self._pop(share))
            share.is_due = False
            if share.waiting:
                self._queue(now_ms, share, author)
        return taken

    def release(self, now_ms: int, needed: Iterable[Ref]) -> list[Waiting]:
        """What of these waits, each with what its author said before; its later words pay for it."""
        taken: list[Waiting] = []
        for ref in needed:
            author = self._authors.get(ref.id)
            if author is None:
                continue
            share = self._shares[author]
            while ref.id in share.waiting and not share.news.owes(now_ms, DEBT_MAX):
                share.news.spend(now_ms)
                taken.append(self._pop(share))
        return taken

    def _pop(self, share: _Share) -> Waiting:
        vertex_id, waiting = share.waiting.popitem(last=False)
        del self._authors[vertex_id]
        return waiting

    def next_deadline(self) -> int | None:
        """When `take_due` has something to do."""
        return self._due[0][0] if self._due else None
