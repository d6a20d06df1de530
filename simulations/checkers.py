"""What must hold whatever goes wrong; each checker raises `CheckFailed` with the promise's name.

They read what cores put out (effects, facts, messages) and keep books of their own, so that a core
whose own books are wrong is found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dag.bodies import EVIDENCE_DECODER
from dag.errors import InvalidMessage, Offence
from dag.hold import HELD_MAX
from dag.index import NOWHERE
from dag.quarantine import QuarantineLimits
from dag.types import Horizon, Kind
from dag.vertex import Header, compute_header_id
from meshnode.core.bans import BANS_KEY
from meshnode.core.effects import ForgetVertices, Penalise, Persist, StoreVertex
from meshnode.core.events import ForkSeen, PeerReady, Published, VertexAdmitted
from meshnode.core.messages import Digest, Heads, IHave, Items, Message, Pong, Push
from simulations.errors import CheckFailed
from simulations.fidelity import remember_vertex
from simulations.observers import Observer

if TYPE_CHECKING:
    from dag.vertex import SignedVertex
    from meshnode.core.effects import Effect
    from meshnode.core.events import Event
    from meshnode.core.inputs import Input
    from simulations.books import Books
    from simulations.host import Host
    from simulations.world import World

EVENTS_MAX: Final = 3_000_000
"""A run that goes on beyond this has lost itself in work."""
LOOK_EVERY: Final = 64
"""Inputs between two looks at a core's sizes."""
EXCUSED: Final = (Offence.SILENT, Offence.NOT_SERVED)
"""What the network can make an honest host look like; it must never lead to a ban."""


class Authorship(Observer):
    """No honest author says two things in one slot, or is said to; and nobody speaks for it."""

    def __init__(self, honest: Iterable[Host]) -> None:
        self._homes: dict[bytes, int] = {host.identity.author: host.index for host in honest}
        self._silenced: dict[int, None] = {}
        self._slots: dict[tuple[bytes, int, int], bytes] = {}
        self._made: dict[bytes, None] = {}

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A vertex is stored, at home or anywhere else."""
        for effect in effects:
            if isinstance(effect, Persist) and isinstance(effect.record, StoreVertex):
                self._see(host, effect.record.wire)

    def on_fact(self, host: Host, event: Event) -> None:
        """A vertex was published, or an author accused."""
        if isinstance(event, ForkSeen) and event.author in self._homes:
            raise CheckFailed("accused", f"{host.identity.name} takes an honest author for forked")
        if isinstance(event, ForkSeen) and event.author == host.identity.author:
            self._silenced[host.index] = None
        if isinstance(event, Published):
            if host.index in self._silenced:
                raise CheckFailed(
                    "silent-when-forked", f"{host.identity.name} knows of its fork and speaks"
                )
            self._take(event.signed)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """An own vertex leaves its author."""
        del target, size_bytes
        if isinstance(message, Push | Items) and self._homes.get(host.identity.author) is not None:
            for wire in message.vertices:
                signed = remember_vertex(wire)
                if signed.vertex.author == host.identity.author:
                    self._take(signed)

    def _see(self, host: Host, wire: bytes) -> None:
        signed = remember_vertex(wire)
        home = self._homes.get(signed.vertex.author)
        if home is None:
            return
        if home == host.index:
            self._made[signed.id] = None
            return
        if signed.id not in self._made:
            raise CheckFailed("forged", f"{host.identity.name} took what its author never made")
        self._take(signed)

    def _take(self, signed: SignedVertex) -> None:
        vertex = signed.vertex
        slot = (vertex.author, vertex.lane, vertex.seq)
        if vertex.author not in self._homes:
            return
        if self._slots.setdefault(slot, signed.id) != signed.id:
            raise CheckFailed("one-per-slot", f"an honest author signed seq {vertex.seq} twice")


class Durability(Observer):
    """What was acknowledged or told survives every crash."""

    def __init__(self, honest: Iterable[Host]) -> None:
        self._honest = {host.index: None for host in honest}
        self._excused: dict[int, None] = {}
        self._restored: dict[int, None] = {}
        """Hosts that forgot without knowing it; what has become too old since does not come back."""
        self.acknowledged: dict[int, dict[bytes, int]] = {}
        """By host, ids with their lamports."""

    def excuse(self, host: Host) -> None:
        """A host starts from an old copy, so that something is missing."""
        self._excused[host.index] = self._restored[host.index] = None

    def end_excuse(self, host: Host) -> None:
        """A host has had the time to fetch what was missing."""
        del self._excused[host.index]

    def on_fact(self, host: Host, event: Event) -> None:
        """An application was told that something is durable."""
        if isinstance(event, Published | VertexAdmitted):
            self._require(host, event.signed.id, "told")
        if isinstance(event, Published):
            lamport = event.signed.vertex.lamport
            self.acknowledged.setdefault(host.index, {})[event.signed.id] = lamport

    def on_started(self, host: Host) -> None:
        """A host is back: everything it has acknowledged is there."""
        if host.index in self._excused:
            return
        # What is acknowledged is speech.
        horizon = host.disk.horizon.speech if host.index in self._restored else 0
        for vertex_id, lamport in self.acknowledged.get(host.index, {}).items():
            if lamport > horizon and not host.disk.has_forgotten(vertex_id):
                self._require(host, vertex_id, "acknowledged")

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """A host names vertices to others: it must have them for good."""
        del target, size_bytes
        if host.index not in self._honest:
            return
        match message:
            case Push() | Items():
                for wire in message.vertices:
                    self._require(host, remember_vertex(wire).id, "sent")
            case IHave():
                for vertex_id in message.ids:
                    # It may say a moment later that it has forgotten what lies so deep.
                    if not host.disk.has_forgotten(vertex_id):
                        self._require(host, vertex_id, "announced")
            case Heads():
                for ref in message.heads:
                    self._require(host, ref.id, "named as a head")
            case Digest():
                self._require_count(host, message)
            case Pong():
                self._require_count(host, message.digest)
            case _:
                pass

    def _require(self, host: Host, vertex_id: bytes, what: str) -> None:
        if host.disk.read(vertex_id) is None or host.disk.unsynced_bytes:
            name = vertex_id.hex()[:12]
            raise CheckFailed("durable", f"{host.identity.name} has {what} {name} and can lose it")

    def _require_count(self, host: Host, digest: Digest) -> None:
        if host.disk.unsynced_bytes or digest.count > host.disk.vertex_count:
            raise CheckFailed("durable", f"{host.identity.name} counts vertices it can lose")


class Fairness(Observer):
    """No honest host bans another, or charges it with what no network can make it look like.

    And whom it has banned for good reason it does not let in again, after a restart either.
    """

    def __init__(self, honest: Iterable[Host]) -> None:
        self._names = {host.name: host.index for host in honest}

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A host draws a consequence."""
        if host.name not in self._names:
            return
        for effect in effects:
            if isinstance(effect, Penalise) and effect.peer in self._names:
                what = f"{host.identity.name} charges an honest host: {effect.offence}"
                if effect.ban_ms:
                    raise CheckFailed("no-honest-ban", f"{what}, and bans it: {effect.detail}")
                if effect.offence not in EXCUSED:
                    raise CheckFailed("no-honest-offence", f"{what}: {effect.detail}")

    def on_fact(self, host: Host, event: Event) -> None:
        """A peer was let in."""
        if not isinstance(event, PeerReady) or host.name not in self._names:
            return
        stored = host.disk.read_value(BANS_KEY)
        bans = msgspec.msgpack.decode(stored, type=dict[str, int]) if stored else {}
        if bans.get(event.peer, 0) > host.read_clock_ms():
            raise CheckFailed("ban-kept", f"{host.identity.name} lets in whom it has banned")


class Bounds(Observer):
    """What peers can make a host hold has its limits, and no message is lost track of."""

    def __init__(self, books: Books, liars: int) -> None:
        self._limits = QuarantineLimits()
        self._books = books
        self._liars = liars
        self._inputs = 0

    def on_added(self, world: World) -> None:
        """Look at this world."""
        self._world = world

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """Anything has happened."""
        del target, kind, payload
        if not self._world.network.counters.conserved:
            raise CheckFailed("conserved", f"messages were lost: {self._world.network.counters}")
        if self._world.kernel.events > EVENTS_MAX:
            raise CheckFailed("bounded-work", f"{EVENTS_MAX} events and no end")

    def on_input(self, host: Host, entry: Input) -> None:
        """Look at a core's sizes now and then."""
        del entry
        self._inputs += 1
        if self._inputs % LOOK_EVERY == 0:
            self._look(host)

    def _find_quarantine_max(self, held: int) -> int:
        """What liars may fill, and every true vertex that this host does not hold yet."""
        return self._liars * self._limits.author_count_max + len(self._books.vertices) - held

    def _look(self, host: Host) -> None:
        view, limits = host.summarise(), self._limits
        peers = view.ready + 1
        settings = host.settings.limits
        for what, count, count_max in (
            ("quarantined", view.quarantined, self._find_quarantine_max(view.vertices)),
            ("quarantined bytes", view.quarantined_bytes, limits.bytes_max),
            ("held", view.held, HELD_MAX),
            ("fetching", view.fetching, settings.walk_ids_max),
            ("of unknown authors", view.unknown_authors, peers * settings.wants_per_peer_max),
            ("publications", view.publications_queued, settings.publications_max),
        ):
            if count > count_max:
                raise CheckFailed("bounded", f"{host.identity.name}: {count} {what} > {count_max}")
        if not host.pool.flow.balanced:
            raise CheckFailed("balanced", f"{host.identity.name}: Little's law does not hold")


class Proofs(Observer):
    """Which forks are proved in whose store: by two headers, of vertices that were truly stored."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._bodies: dict[int, dict[bytes, bytes]] = {}
        """Evidence by host, and by the vertex that carries it."""

    def on_started(self, host: Host) -> None:
        """A host has read its disk."""
        self._bodies[host.index] = {}
        for wire in host.disk.newest_wires():
            self._see(host, wire)

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """Evidence may be among what is stored, or forgotten."""
        for effect in effects:
            record = effect.record if isinstance(effect, Persist) else None
            if isinstance(record, StoreVertex):
                self._see(host, record.wire)
            elif isinstance(record, ForgetVertices):
                for vertex_id in record.ids:
                    self._bodies[host.index].pop(vertex_id, None)

    def _see(self, host: Host, wire: bytes) -> None:
        signed = remember_vertex(wire)
        if signed.vertex.kind == Kind.EVIDENCE:
            self._bodies[host.index][signed.id] = signed.vertex.body

    def find_unproved(self, host: Host) -> list[bytes]:
        """Authors that a host takes for forked, and of whose fork it holds no proof."""
        bodies = dict.fromkeys(self._bodies[host.index].values())
        proved = dict.fromkeys(map(self._find_accused, bodies))
        return [fork.author for fork in host.view().forks if fork.author not in proved]

    def _find_accused(self, body: bytes) -> bytes | None:
        try:
            evidence = EVIDENCE_DECODER.decode(body)
        except InvalidMessage:
            return None
        sides = (evidence.first, evidence.second)
        headers = [msgspec.msgpack.decode(side.header, type=Header) for side in sides]
        is_true = all(compute_header_id(header) in self._books.vertices for header in headers)
        return headers[0].author if is_true else None


class Agreement(Observer):
    """Equal heads mean equal stores, above what somebody may have forgotten."""

    def __init__(self, honest: Sequence[Host], books: Books, every_ms: int = 1_000) -> None:
        self._honest = honest
        self._books = books
        self._every_ms = every_ms
        self._due_ms = 0

    def on_input(self, host: Host, entry: Input) -> None:
        """Compare now and then, and when a run ends."""
        del entry
        if host.world.now_ms >= self._due_ms:
            self._due_ms = host.world.now_ms + self._every_ms
            self.check()

    def on_end(self, world: World) -> None:
        """Compare at the end of a phase."""
        del world
        self.check()

    def check(self) -> None:
        """Compare the stores of all hosts whose heads are equal."""
        groups: dict[bytes, list[Host]] = {}
        for host in self._honest:
            if host.is_up:
                groups.setdefault(host.summarise().heads_digest, []).append(host)
        for hosts in groups.values():
            forked = {fork.author for host in hosts for fork in host.summarise().forks}
            above = NOWHERE
            for host in hosts:
                above = above.join(self._books.horizons[host.index])
            first, *others = (self._find(host, forked, above) for host in hosts)
            for host, ids in zip(hosts[1:], others, strict=True):
                if ids != first:
                    names = f"{hosts[0].identity.name} and {host.identity.name}"
                    raise CheckFailed("heads-determine-stores", f"{names} differ under equal heads")

    def _find(self, host: Host, forked: set[bytes], above: Horizon) -> set[bytes]:
        held = (
            (item, self._books.vertices[item].vertex) for item in self._books.stores[host.index]
        )
        return {
            item
            for item, vertex in held
            if vertex.lamport > above.get(vertex.lane) and vertex.author not in forked
        }
