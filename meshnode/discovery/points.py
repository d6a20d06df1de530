"""Visiting rendezvous points: the I/O of `meshnode.core.visiting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.core.commands import Found
from meshnode.core.record_book import Verdict
from meshnode.core.transport_id import compute_transport_id
from meshnode.core.visiting import Visits
from meshnode.discovery.rendezvous import describe_failure, visit
from meshnode.discovery.ways import Way
from meshnode.discovery.wire import KEYS_MAX
from meshnode.errors import InvalidMessage, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshnode.core.entropy import Entropy
    from meshnode.core.peer_record import PeerRecord
    from meshnode.core.record_book import RecordBook
    from meshnode.core.visiting import Point
    from meshnode.discovery.mesh import Mesh

FEW_PEERS: Final = 4
"""Who has fewer connections asks for everybody's address, not only for those it misses."""
FULL_MESH_MAX: Final = 16
"""Up to so many members each is connected to each, and whoever is not is missed."""
FOUND_MAX: Final = 256
"""Members told to the core from one visit."""
MISSING_FIRST_MS: Final = 2_000
MISSING_MOST_MS: Final = 600_000


class PointVisits:
    """The rendezvous points of one node, and what they told."""

    def __init__(
        self,
        mesh: Mesh,
        book: RecordBook,
        entropy: Entropy,
        *,
        own_key: bytes,
        read_own: Callable[[], bytes],
    ) -> None:
        self._mesh = mesh
        self._book = book
        self._own_key = own_key
        self._read_own = read_own
        self._entropy = entropy
        self.visits = Visits(entropy)
        self._missing: tuple[bytes, ...] = ()
        self._missing_ms = 0
        self._missing_due_ms = 0

    async def visit(self, point: Point) -> None:
        """Visit one point that is due."""
        found: list[Found] = []

        def take(wire: bytes) -> None:
            verdict, record = self._book.admit(self._mesh.now_ms(), wire)
            if verdict is Verdict.NEW and record.key != self._own_key:
                found.append(_make_found(record))

        keys = self._choose_keys()
        try:
            await self._mesh.wait_ready(point.peer, point.addresses)
            stream = await self._mesh.open_stream(point.peer)
            try:
                visited = await visit(stream, self._read_own(), take, keys=keys)
            finally:
                stream.reset()
        except (InvalidMessage, TransportError, TimeoutError) as error:
            self.visits.failed(self._mesh.now_ms(), point, describe_failure(error))
        else:
            if visited.serves:
                result = f"gave {visited.records} records, found the own one {visited.verdict}"
                self.visits.succeeded(self._mesh.now_ms(), point, result)
            else:
                self.visits.declined(self._mesh.now_ms(), point)
        ready = self._mesh.list_ready()
        await self._mesh.tell_found([one for one in found if one.peer not in ready][:FOUND_MAX])

    def _choose_keys(self) -> tuple[bytes, ...]:
        """Whom to ask for: nobody in particular means everybody."""
        if len(self._mesh.list_ready()) < FEW_PEERS:
            return ()
        return self._missing[:KEYS_MAX] or (self._own_key,)

    def look_for_missing(self, now_ms: int) -> None:
        """Ask the points soon where members are that should be connected and are not."""
        members, ready = self._mesh.list_members(), self._mesh.list_ready()
        missing: tuple[bytes, ...] = ()
        if len(members) <= FULL_MESH_MAX:
            missing = tuple(
                key for peer, key in members.items() if peer not in ready and peer != self._mesh.own
            )
        if any(key not in self._missing for key in missing):
            self._missing_ms = MISSING_FIRST_MS
            self._missing_due_ms = now_ms + self._entropy.jitter(self._missing_ms)
        self._missing = missing
        if missing and now_ms >= self._missing_due_ms:
            self._missing_ms = min(2 * self._missing_ms, MISSING_MOST_MS)
            self._missing_due_ms = now_ms + self._entropy.jitter(self._missing_ms)
            self.visits.hurry(now_ms)

    def next_deadline(self) -> int | None:
        """When a point is due, or one is to be asked about who is missing."""
        due_ms = self.visits.next_deadline()
        if not self._missing:
            return due_ms
        return self._missing_due_ms if due_ms is None else min(due_ms, self._missing_due_ms)

    def describe(self, named: Sequence[str]) -> list[Way]:
        """Each point that answers, or that the operator named."""
        points = [point for point in self.visits.points if point.answers or point.peer in named]
        return [_describe(point) for point in points]


def _describe(point: Point) -> Way:
    where = point.addresses[0].partition("/p2p/")[0] if point.addresses else point.peer
    if point.answers:
        return Way("rendezvous", "ok", f"{where} {point.result}")
    if not point.result:
        return Way("rendezvous", "unknown", f"{where} was not visited yet", "wait a moment")
    fix = "check its address, and that `serve_rendezvous = true` is set there"
    return Way("rendezvous", "fail", f"{where}: {point.result}", fix)


def _make_found(record: PeerRecord) -> Found:
    return Found(compute_transport_id(record.key), record.addresses, signed=True)
