"""Verified vertices that wait for a parent: bounded by peer, author and in total.

The ordinary part is charged to the peer a vertex came from. The reserved part takes the blocks of
committee members and their ancestors, charged to that member, so that no flood of other vertices
can keep a block from being completed. Where a bound is passed, the vertex of highest lamport of
whoever holds most goes, for it is the furthest from being completed; whoever needs it fetches it
again. A lamport that claims too little favours a vertex over others of its own sender only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from dag.identity import VerifiedVertex
from dag.types import Ref

SOURCES_MAX: Final = 8
"""Peers remembered as having sent one waiting vertex."""


class QuarantineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what waits."""

    peer_count_max: int = 256
    peer_bytes_max: int = 1_500_000
    author_count_max: int = 256
    count_max: int = 4_096
    bytes_max: int = 24_000_000
    member_count_max: int = 2_048
    """A block may newly cover 1,000 vertices and 1 MiB beyond its parent blocks."""
    member_bytes_max: int = 3_000_000
    reserved_count_max: int = 8_192
    reserved_bytes_max: int = 48_000_000
    ttl_ms: int = 30_000


class Waiting:
    """A vertex that waits, what for, and who answers for it."""

    __slots__ = ("deadline_ms", "kept_out", "member", "missing", "parked", "signed", "sources")

    def __init__(
        self,
        signed: VerifiedVertex,
        source: str,
        missing: Iterable[Ref],
        deadline_ms: int,
        member: bytes | None,
    ) -> None:
        self.signed = signed
        self.sources: tuple[str, ...] = (source,)
        self.missing: dict[bytes, Ref] = {ref.id: ref for ref in missing}
        self.deadline_ms = deadline_ms
        self.member = member
        """The committee member it is charged to, in the reserved part."""
        self.parked = False
        """It enters only with a vertex that references it, and is complete but for such parents."""
        self.kept_out = False
        """Local policy lets it in only where something needs it."""

    @property
    def id(self) -> bytes:
        """The vertex's id."""
        return self.signed.id

    @property
    def size_bytes(self) -> int:
        """What it is charged as."""
        return len(self.signed.wire)

    def add_source(self, source: str) -> None:
        """Remember another peer that sent it."""
        if source not in self.sources and len(self.sources) < SOURCES_MAX:
            self.sources = (*self.sources, source)


class _Share:
    """What one owner holds."""

    __slots__ = ("refs", "size_bytes")

    def __init__(self) -> None:
        self.refs: dict[bytes, Ref] = {}
        self.size_bytes = 0

    def find_highest(self) -> bytes:
        return max(self.refs.values()).id


class _Part:
    """A part of the quarantine with owners, a bound for each, and a bound for all."""

    def __init__(self, owner_max: tuple[int, int], total_max: tuple[int, int]) -> None:
        self._owner_count_max, self._owner_bytes_max = owner_max
        self._count_max, self._bytes_max = total_max
        self._shares: dict[str | bytes, _Share] = {}
        self.count = 0
        self.size_bytes = 0

    def add(self, owner: str | bytes, waiting: Waiting) -> None:
        share = self._shares.setdefault(owner, _Share())
        share.refs[waiting.id] = waiting.signed.ref
        share.size_bytes += waiting.size_bytes
        self.count += 1
        self.size_bytes += waiting.size_bytes

    def remove(self, owner: str | bytes, waiting: Waiting) -> None:
        share = self._shares[owner]
        del share.refs[waiting.id]
        share.size_bytes -= waiting.size_bytes
        self.count -= 1
        self.size_bytes -= waiting.size_bytes
        if not share.refs:
            del self._shares[owner]

    def find_excess(self, owner: str | bytes) -> bytes | None:
        """The next vertex to go after `owner` took something, None within bounds."""
        share = self._shares.get(owner)
        if share is not None and (
            len(share.refs) > self._owner_count_max or share.size_bytes > self._owner_bytes_max
        ):
            return share.find_highest()
        if self.count > self._count_max or self.size_bytes > self._bytes_max:
            largest = max(self._shares.values(), key=lambda share: share.size_bytes)
            return largest.find_highest()
        return None


class Quarantine:
    """Vertices waiting for parents, by id and by what they wait for."""

    def __init__(self, limits: QuarantineLimits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[bytes, Waiting] = OrderedDict()
        self._waiters: dict[bytes, dict[bytes, None]] = {}
        self._by_author: dict[bytes, dict[bytes, Ref]] = {}
        self._ordinary = _Part(
            (limits.peer_count_max, limits.peer_bytes_max), (limits.count_max, limits.bytes_max)
        )
        self._reserved = _Part(
            (limits.member_count_max, limits.member_bytes_max),
            (limits.reserved_count_max, limits.reserved_bytes_max),
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._waiting

    @property
    def size_bytes(self) -> int:
        """Bytes held in both parts."""
        return self._ordinary.size_bytes + self._reserved.size_bytes

    @property
    def reserved_count(self) -> int:
        """Vertices in the reserved part."""
        return self._reserved.count

    @property
    def next_deadline(self) -> int | None:
        """When the oldest goes, None when empty."""
        if not self._waiting:
            return None
        return next(iter(self._waiting.values())).deadline_ms

    def get(self, vertex_id: bytes) -> Waiting | None:
        """A waiting vertex."""
        return self._waiting.get(vertex_id)

    def is_awaited(self, vertex_id: bytes) -> bool:
        """Whether anything waits for an id."""
        return vertex_id in self._waiters

    def get_waiters(self, vertex_id: bytes) -> tuple[Waiting, ...]:
        """The vertices that wait for an id."""
        waiters = self._waiters.get(vertex_id, {})
        return tuple(self._waiting[waiter] for waiter in waiters)

    def find_member(self, vertex_id: bytes) -> bytes | None:
        """The committee member on whose behalf an id is awaited, if any."""
        for waiter in self._waiters.get(vertex_id, {}):
            member = self._waiting[waiter].member
            if member is not None:
                return member
        return None

    def collect(self) -> tuple[Waiting, ...]:
        """Everything that waits, oldest first."""
        return tuple(self._waiting.values())

    def add(self, waiting: Waiting) -> bool:
        """Take a vertex in; answers whether it stayed within the bounds."""
        self._waiting[waiting.id] = waiting
        for missing in waiting.missing:
            self._waiters.setdefault(missing, {})[waiting.id] = None
        self._charge(waiting)
        if waiting.member is not None:
            self._promote_missing(waiting, waiting.member)
        self._shrink(waiting)
        return waiting.id in self._waiting

    def _charge(self, waiting: Waiting) -> None:
        if waiting.member is not None:
            self._reserved.add(waiting.member, waiting)
            return
        self._ordinary.add(waiting.sources[0], waiting)
        by_author = self._by_author.setdefault(waiting.signed.vertex.author, {})
        by_author[waiting.id] = waiting.signed.ref

    def _discharge(self, waiting: Waiting) -> None:
        if waiting.member is not None:
            self._reserved.remove(waiting.member, waiting)
            return
        self._ordinary.remove(waiting.sources[0], waiting)
        author = waiting.signed.vertex.author
        del self._by_author[author][waiting.id]
        if not self._by_author[author]:
            del self._by_author[author]

    def _promote_missing(self, waiting: Waiting, member: bytes) -> None:
        """Move the ancestors that wait themselves into the reserved part."""
        stack = list(waiting.missing)
        while stack:
            ancestor = self._waiting.get(stack.pop())
            if ancestor is not None and ancestor.member is None:
                self._discharge(ancestor)
                ancestor.member = member
                self._charge(ancestor)
                stack.extend(ancestor.missing)

    def _shrink(self, waiting: Waiting) -> None:
        """Let vertices go until the bounds hold again."""
        if waiting.member is not None:
            while (excess := self._reserved.find_excess(waiting.member)) is not None:
                self.remove(excess)
            return
        by_author = self._by_author[waiting.signed.vertex.author]
        if len(by_author) > self._limits.author_count_max:
            self.remove(max(by_author.values()).id)
        while (excess := self._ordinary.find_excess(waiting.sources[0])) is not None:
            self.remove(excess)

    def remove(self, vertex_id: bytes) -> Waiting:
        """Take a vertex out; what waits for it goes on waiting."""
        waiting = self._waiting.pop(vertex_id)
        for missing in waiting.missing:
            self._drop_waiter(missing, vertex_id)
        self._discharge(waiting)
        return waiting

    def _drop_waiter(self, missing: bytes, waiter: bytes) -> None:
        waiters = self._waiters[missing]
        del waiters[waiter]
        if not waiters:
            del self._waiters[missing]

    def excuse(self, waiting: Waiting, ids: Iterable[bytes]) -> None:
        """Let one vertex wait for these ids no more."""
        for vertex_id in ids:
            del waiting.missing[vertex_id]
            self._drop_waiter(vertex_id, waiting.id)

    def resolve(self, vertex_id: bytes) -> tuple[Waiting, ...]:
        """An id is present now; answers whoever waited for it, all of which still wait here."""
        waiters = self._waiters.pop(vertex_id, None)
        if waiters is None:
            return ()
        resolved = tuple(self._waiting[waiter] for waiter in waiters)
        for waiting in resolved:
            del waiting.missing[vertex_id]
        return resolved

    def collect_descendants(self, vertex_id: bytes) -> tuple[Waiting, ...]:
        """Everything that waits for an id, directly or not, nearest first."""
        found: dict[bytes, None] = {}
        queue = [vertex_id]
        for current in queue:
            for waiter in self._waiters.get(current, {}):
                if waiter not in found:
                    found[waiter] = None
                    queue.append(waiter)
        return tuple(self._waiting[waiter] for waiter in found)

    def expire(self, now_ms: int) -> int:
        """Let go what has waited too long; answers how many went."""
        expired = 0
        while (deadline := self.next_deadline) is not None and deadline <= now_ms:
            self.remove(next(iter(self._waiting)))
            expired += 1
        return expired
