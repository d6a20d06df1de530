"""Every host's store as its effects describe it: what all other checkers look things up in.

The books are kept apart from the cores, so that a core whose own books are wrong is found out. Where
a host has a certified snapshot, what lies at or below its floor counts as present there, lane by
lane, and may be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from consensus.block import count_block_parents
from dag.authors import is_first_profile
from dag.types import LANE_BLOCKS, LANE_SPEECH
from meshnode.core.effects import ForgetVertices, Persist, StoreSnapshot, StoreVertex
from meshnode.core.recovered import read_header
from simulations.errors import CheckFailed
from simulations.fidelity import remember_vertex
from simulations.observers import Observer

if TYPE_CHECKING:
    from dag.types import Horizon, Ref
    from dag.vertex import SignedVertex
    from meshnode.core.effects import Effect
    from simulations.host import Host

COUNT_EVERY: Final = 8
"""A core's own count is compared where its store holds a multiple of this."""


class Books(Observer):
    """Closed above the horizon, complete, one byte form per id, and nothing forgotten too early."""

    def __init__(self, honest: Iterable[Host]) -> None:
        self.stores: dict[int, dict[bytes, None]] = {}
        """By host, ids in the order stored."""
        self.horizons: dict[int, Horizon] = {}
        """By host, the lamports at or below which references count as present."""
        self.vertices: dict[bytes, SignedVertex] = {}
        """All that any host has ever stored."""
        self._repeats: dict[bytes, bytes] = {}
        """Of honest authors: which vertex says again what another said."""
        self._last: dict[int, dict[tuple[bytes, int], tuple[int, dict[bytes, None]]]] = {}
        """By host, the highest seq it held of each author in each lane, and which vertices have it."""
        self._authors = {host.identity.author: host for host in honest}

    def on_started(self, host: Host) -> None:
        """A host has read its disk."""
        store: dict[bytes, None] = {}
        self.stores[host.index] = store
        self._last[host.index] = {}
        self.horizons[host.index] = host.disk.horizon
        for vertex_id, wire in self._arrange(host):
            self._enter(host, store, vertex_id, wire)
        self._count(host, store)

    def _arrange(self, host: Host) -> list[tuple[bytes, bytes]]:
        """What a disk holds; what lies below the horizon goes first, for it may have come late."""
        horizon = self.horizons[host.index]
        old: list[tuple[Ref, tuple[bytes, bytes]]] = []
        new: list[tuple[bytes, bytes]] = []
        for vertex_id in host.disk.stored_ids():
            wire = host.disk.read(vertex_id)
            assert wire is not None, "the disk knows what it has listed"
            signed = remember_vertex(wire)
            if signed.vertex.lane == LANE_SPEECH and signed.vertex.lamport <= horizon.speech:
                old.append((signed.ref, (vertex_id, wire)))
            else:
                new.append((vertex_id, wire))
        return [entry for _, entry in sorted(old)] + new

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A core has stored vertices, or has forgotten some."""
        store = self.stores[host.index]
        records = [effect.record for effect in effects if isinstance(effect, Persist)]
        for record in records:  # first: one transaction holds a snapshot and what it allows
            if isinstance(record, StoreSnapshot):
                floor = read_header(record.snapshot).floor
                self.horizons[host.index] = self.horizons[host.index].join(floor)
        grown = False
        for record in records:
            if isinstance(record, StoreVertex):
                self._enter(host, store, record.id, record.wire)
                grown = True
            elif isinstance(record, ForgetVertices):
                for vertex_id in record.ids:
                    self._forget(host, store, vertex_id)
        if grown and len(store) % COUNT_EVERY == 0:
            self._count(host, store)

    def find_repeat(self, vertex_id: bytes) -> bytes | None:
        """The vertex by which an honest author said again what one had said."""
        return self._repeats.get(vertex_id)

    def is_below(self, host: Host, vertex_id: bytes) -> bool:
        """Whether a vertex is too old to be owed by a host."""
        signed = self.vertices.get(vertex_id)
        return signed is not None and self._is_old(host, signed)

    def _is_old(self, host: Host, signed: SignedVertex) -> bool:
        vertex = signed.vertex
        return vertex.lamport <= self.horizons[host.index].get(vertex.lane)

    def _list_needed(self, host: Host, signed: SignedVertex) -> list[Ref]:
        """The parents that must be held; none of a vertex that is old itself and came by name."""
        if self._is_old(host, signed):
            return []
        vertex, horizon = signed.vertex, self.horizons[host.index]
        count = count_block_parents(vertex) if vertex.lane == LANE_BLOCKS else 0
        return [
            ref
            for place, ref in enumerate(vertex.parents)
            if ref.lamport > (horizon.blocks if place < count else horizon.speech)
        ]

    def _count(self, host: Host, store: dict[bytes, None]) -> None:
        if host.core.is_over:
            return  # What it pinned is in the journal, for the core that is begun anew.
        held = host.summarise().vertices
        if held != len(store):
            raise CheckFailed(
                "persisted", f"{host.identity.name} holds {held} vertices and kept {len(store)}"
            )

    def _enter(self, host: Host, store: dict[bytes, None], vertex_id: bytes, wire: bytes) -> None:
        name = f"{vertex_id.hex()[:12]} at {host.identity.name}"
        signed = remember_vertex(wire)
        if signed.id != vertex_id:
            raise CheckFailed("identified", f"{name} is stored under another id")
        if vertex_id in store:
            raise CheckFailed("stored-once", name)
        first = self.vertices.setdefault(vertex_id, signed)
        if first.wire != wire and signed.vertex.author in self._authors:
            raise CheckFailed("one-form", f"{name} has other bytes elsewhere")
        above = self._list_needed(host, signed)
        for ref in above:
            if ref.id not in store:
                raise CheckFailed("ancestor-closed", f"{name} lacks parent {ref.id.hex()[:12]}")
            if self.vertices[ref.id].ref != ref:
                raise CheckFailed("parent-lamport", f"{name} names a parent wrongly")
        self._check_chain(name, signed, above)
        store[vertex_id] = None
        self._note_last(host, signed)
        self._note_repeat(signed)

    def _note_last(self, host: Host, signed: SignedVertex) -> None:
        vertex = signed.vertex
        lasts, lane = self._last[host.index], (vertex.author, vertex.lane)
        seq, ids = lasts.get(lane, (0, {}))
        if vertex.seq >= seq:
            lasts[lane] = vertex.seq, {**(ids if vertex.seq == seq else {}), signed.id: None}

    def _check_chain(self, name: str, signed: SignedVertex, above: Sequence[Ref]) -> None:
        vertex = signed.vertex
        if vertex.seq == 0 or vertex.parents[0] not in above:
            return
        previous = self.vertices[vertex.parents[0].id].vertex
        slot = (previous.author, previous.lane, previous.seq)
        if slot != (vertex.author, vertex.lane, vertex.seq - 1):
            raise CheckFailed("own-previous", f"{name} does not stand on its predecessor")

    def _note_repeat(self, signed: SignedVertex) -> None:
        vertex = signed.vertex
        if vertex.author not in self._authors:
            return
        for ref in vertex.parents:
            parent = self.vertices.get(ref.id)
            if parent is not None:
                said = (parent.vertex.author, parent.vertex.kind, parent.vertex.body)
                if said == (vertex.author, vertex.kind, vertex.body):
                    self._repeats[ref.id] = signed.id

    def _forget(self, host: Host, store: dict[bytes, None], vertex_id: bytes) -> None:
        name = f"{host.identity.name} forgets {vertex_id.hex()[:12]}"
        if vertex_id not in store:
            raise CheckFailed("forgotten-once", name)
        signed = self.vertices[vertex_id]
        vertex = signed.vertex
        if not self._is_old(host, signed):
            raise CheckFailed("kept-above-horizon", f"{name}, which others may still need")
        if is_first_profile(vertex):
            raise CheckFailed("kept-profiles", f"{name}, by which an author is known")
        last = self._last[host.index][vertex.author, vertex.lane][1]
        if list(last) == [vertex_id]:
            raise CheckFailed("kept-last", f"{name}, from which its author goes on")
        last.pop(vertex_id, None)
        del store[vertex_id]
