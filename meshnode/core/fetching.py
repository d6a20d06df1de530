"""Fetching vertices by id: from whom, when, and from whom next.

Whoever announced an id, or sent a vertex above it, holds it and must serve it. Ids that RANGES found
are cut references until the vertices come.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from dag.ranges import cut_ref
from meshnode.core.messages import GET_IDS_MAX, Get

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.outcomes import Quarantined
    from dag.types import Ref
    from meshnode.core.inputs import Vertices
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend, Request, Requests
    from meshnode.core.settings import Limits

HOLDERS_MAX: Final = 4
"""Peers remembered as holding one wanted vertex."""
DEPTH_MAX: Final = 64
"""Generations of parents that are asked for below what a peer has pushed or announced.

A past without an end can be made up as fast as it is asked for. What truly lies deeper is found by
comparing stores.
"""
SESSION_DEPTH_MAX: Final = 10_000
"""As `DEPTH_MAX`, below what stores differ in, and below what a block of the committee
needs: the order has to have that."""


@dataclass(slots=True, eq=False)
class _Want:
    due_ms: int
    holders: list[str]
    """Not asked yet, in the order they announced it."""
    named_by: str
    """Who named it first: it counts for that peer."""
    again_ms: int = 0
    """Another holder is asked after this even if the first may still answer; 0 for not before."""
    asked: str = ""
    """Whom it is being fetched from."""
    depth: int = 0
    """Generations of its parents that may be asked for yet."""


class Fetching:
    """Wanted ids, and the GETs that fetch them."""

    def __init__(
        self,
        outbox: Outbox,
        requests: Requests,
        limits: Limits,
        is_needed: Callable[[bytes], bool],
        *,
        offend: Offend,
        on_unserved: Callable[[int, str], None],
    ) -> None:
        self._outbox = outbox
        self._requests = requests
        self._limits = limits
        self._is_needed = is_needed
        self._offend = offend
        self._on_unserved = on_unserved
        self._wants: dict[bytes, _Want] = {}
        self._named: Counter[str] = Counter()
        self._due: list[tuple[int, bytes]] = []
        self._queues: dict[str, OrderedDict[bytes, None]] = {}
        """Ids to ask a peer for; taken from the front, of which a dict would remember every place."""

    def __len__(self) -> int:
        return len(self._wants)

    def walk_on(
        self,
        now_ms: int,
        peer: str,
        child: Ref,
        waiting: Quarantined,
        *,
        patience_ms: int,
    ) -> None:
        """A peer sent a vertex that stands on what is missing.

        Parents of a pushed vertex are most likely on their way from their own authors. Those of one
        that was fetched are not: there the walk goes on at once, as deep as it may.
        """
        asked = self._find_asked(peer, child)
        depth = DEPTH_MAX if waiting.member is None else SESSION_DEPTH_MAX
        if asked is not None:
            depth, patience_ms = asked.depth - 1, 0
        if depth >= 0:
            names = [self.get_name(ref) for ref in waiting.missing]
            self.want(peer, names, now_ms + patience_ms, depth=depth)

    def want(
        self,
        peer: str,
        ids: Iterable[bytes],
        due_ms: int,
        *,
        again_ms: int = 0,
        depth: int | None = None,
    ) -> None:
        """Fetch ids, from `peer` if nobody else is due before; from the next after `again_ms`.

        `depth`: how many generations of their parents may be asked for as well.
        """
        depth = DEPTH_MAX if depth is None else depth
        for vertex_id in ids:
            want = self._wants.get(vertex_id)
            if want is None:
                if not self._has_room(peer):
                    continue
                want = self._wants[vertex_id] = _Want(due_ms, [peer], peer, again_ms, depth=depth)
                self._named[peer] += 1
                heapq.heappush(self._due, (due_ms, vertex_id))
                continue
            want.depth = max(want.depth, depth)
            if peer != want.asked and peer not in want.holders and len(want.holders) < HOLDERS_MAX:
                want.holders.append(peer)
            if due_ms < want.due_ms and not want.asked:
                want.due_ms = due_ms
                heapq.heappush(self._due, (due_ms, vertex_id))

    def _has_room(self, peer: str) -> bool:
        limits = self._limits
        is_full = len(self._wants) >= limits.walk_ids_max
        return not is_full and self._named.get(peer, 0) < limits.walk_ids_per_peer_max

    def get_name(self, ref: Ref) -> bytes:
        """The name under which a vertex is wanted: its cut reference where that is, else its id."""
        cut = cut_ref(ref)
        return cut if cut in self._wants else ref.id

    def _find_asked(self, peer: str, ref: Ref) -> _Want | None:
        """What is known of a vertex that is being fetched from a peer."""
        for want in (self._wants.get(ref.id), self._wants.get(cut_ref(ref))):
            if want is not None and want.asked == peer:
                return want
        return None

    def tick(self, now_ms: int) -> None:
        """Ask for what is due."""
        while self._due and self._due[0][0] <= now_ms:
            due_ms, vertex_id = heapq.heappop(self._due)
            want = self._wants.get(vertex_id)
            if want is None or want.due_ms != due_ms:
                continue
            if not want.asked:
                self._ask_next(vertex_id, want)
            elif want.holders:
                if want.asked in self._queues:
                    self._queues[want.asked].pop(vertex_id, None)
                self._ask_next(vertex_id, want)
            if want.again_ms and vertex_id in self._wants:
                want.due_ms = now_ms + want.again_ms
                heapq.heappush(self._due, (want.due_ms, vertex_id))
        for peer in list(self._queues):
            self._flush(now_ms, peer)

    def _ask_next(self, vertex_id: bytes, want: _Want) -> None:
        """Queue an id for its next holder; without one it is forgotten until it is named again."""
        want.asked = ""
        if not want.holders or not self._is_needed(vertex_id):
            self._forget(vertex_id)
            return
        want.asked = want.holders.pop(0)
        self._queues.setdefault(want.asked, OrderedDict())[vertex_id] = None

    def _flush(self, now_ms: int, peer: str) -> None:
        queue = self._queues[peer]
        while queue and self._requests.count(peer) < self._limits.gets_per_peer_max:
            ids: list[bytes] = []
            while queue and len(ids) < GET_IDS_MAX:
                vertex_id, _ = queue.popitem(last=False)
                if vertex_id in self._wants and self._is_needed(vertex_id):
                    ids.append(vertex_id)
                else:
                    self._forget(vertex_id)
            if ids:
                number = self._requests.next_number()
                self._outbox.send((peer,), Get(number, tuple(ids)))
                self._requests.open(
                    now_ms, number, peer, tuple(ids), on_answer=self._on_answer, on_end=self._on_end
                )
        if not queue:
            del self._queues[peer]

    def _on_answer(self, now_ms: int, request: Request, message: Vertices) -> None:
        for candidate in message.candidates:
            self._forget(candidate.signed.id)
            self._forget(cut_ref(candidate.signed.ref))
        # Who has forgotten history says so, up to which commit; that is no offence.
        if not message.pruned_commit and any(item in request.ids for item in message.missing):
            detail = "it does not serve what it announced"
            self._offend(now_ms, request.peer, Offence.NOT_SERVED, detail)

    def _forget(self, vertex_id: bytes) -> None:
        want = self._wants.pop(vertex_id, None)
        if want is not None:
            self._named[want.named_by] -= 1
            if not self._named[want.named_by]:
                del self._named[want.named_by]

    def _on_end(self, now_ms: int, request: Request) -> None:
        if request.ids:
            self._on_unserved(now_ms, request.peer)
        for vertex_id in request.ids:
            want = self._wants.get(vertex_id)
            if want is not None and want.asked == request.peer:
                self._ask_next(vertex_id, want)
        self.tick(now_ms)

    def drop_peer(self, peer: str) -> None:
        """A peer is gone; what was queued for it goes to the next holder."""
        for want in self._wants.values():
            if peer in want.holders:
                want.holders.remove(peer)
        for vertex_id in self._queues.pop(peer, ()):
            queued = self._wants.get(vertex_id)
            if queued is not None:
                self._ask_next(vertex_id, queued)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return self._due[0][0] if self._due else None
