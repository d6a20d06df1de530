"""Finding members and being found, for one running node: everything of this package, put together.

It waits for what happens to connections and for the next deadline, and does then what is due: visits
of rendezvous points, each in a task of its own, and the upkeep of reachability in another.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from meshnode.core.commands import Found
from meshnode.core.deadlines import find_earliest
from meshnode.core.entropy import Entropy
from meshnode.core.events import Alone, PeerLost, PeerReady
from meshnode.core.peer_record import ROLE_RELAY, ROLE_RENDEZVOUS
from meshnode.core.record_book import RecordBook
from meshnode.discovery.mdns import LanDiscovery
from meshnode.discovery.mesh import Mesh
from meshnode.discovery.own_record import OwnRecord
from meshnode.discovery.points import PointVisits
from meshnode.discovery.reaching import CircuitPort, Reaching, dial_back
from meshnode.discovery.rendezvous import PeersDesk
from meshnode.discovery.upgrading import Upgrades
from meshnode.discovery.ways import Way
from meshnode.shell.subscriptions import SubscriberLagged

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from meshnode.shell.runtime import Runtime
    from meshnode.transport.base import FrameStream

SEED_BYTES: Final = 32
REST_MS: Final = 100
"""Between two turns, whatever happens meanwhile."""
LOOK_MS: Final = 15_000
"""Looked at again at the latest: addresses change without telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryOptions:
    """What the operator allows and names."""

    mdns: bool = False
    points: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Rendezvous points: transport id and addresses."""
    hints: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Members that may be points, such as the inviter: asked once in a while."""
    serves_rendezvous: bool = False
    serves_relay: bool = False
    uses_relays: bool = True
    punches_holes: bool = True
    listens_on: tuple[str, ...] = ()
    """Addresses announced on the LAN."""


class Discovery:
    """From `start` to `close`; every method belongs to the node's loop."""

    def __init__(
        self,
        runtime: Runtime,
        seed: bytes,
        options: DiscoveryOptions,
        circuits: CircuitPort | None,
    ) -> None:
        """`seed` is the transport key's; `circuits` is None where the transport has no relays."""
        self._runtime = runtime
        self._options = options
        self._circuits = circuits
        self._mesh = mesh = Mesh(runtime)
        entropy = Entropy(os.urandom(SEED_BYTES))
        roles = ROLE_RENDEZVOUS * options.serves_rendezvous + ROLE_RELAY * options.serves_relay
        self._own = OwnRecord(seed, mesh.own, mesh.network, roles)
        self._book = RecordBook(mesh.network, mesh.is_member)
        self._points = PointVisits(
            mesh, self._book, entropy, own_key=self._own.key, read_own=self._read_own
        )
        self._reaching = None
        self._upgrades = None
        if circuits is not None:
            self._upgrades = Upgrades(mesh, circuits, entropy, punches=options.punches_holes)
            self._reaching = Reaching(
                mesh,
                circuits,
                self._book,
                entropy,
                uses_relays=options.uses_relays,
                on_moved=self._on_moved,
            )
        self.desk = PeersDesk(
            self._book,
            serves=options.serves_rendezvous,
            read_own=self._read_own,
            probe=None if circuits is None else partial(dial_back, circuits, mesh),
            now_ms=mesh.now_ms,
        )
        self._lan: LanDiscovery | None = None
        self._wake = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._upkeep: asyncio.Task[None] | None = None
        self._was_alone = True

    # --- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to look and to be seen."""
        now_ms = self._mesh.now_ms()
        for peer, addresses in self._options.points:
            self._points.visits.add(now_ms, peer, addresses, named=True)
        for peer, addresses in self._options.hints:
            self._points.visits.add(now_ms, peer, addresses)
        self._spawn(self._follow(), "discovery events")
        self._spawn(self._run(), "discovery")
        if self._options.mdns:
            self._lan = LanDiscovery(
                self._mesh.network, self._mesh.own, self._options.listens_on, self._on_lan_found
            )
            await self._lan.start()

    async def close(self) -> None:
        """End every task and leave the LAN."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._lan is not None:
            await self._lan.close()

    async def serve(self, stream: FrameStream) -> None:
        """Answer a member that asks where members are."""
        await self.desk.serve(stream)

    def is_member(self, peer: str) -> bool:
        """Whether a transport id is a member's."""
        return self._mesh.is_member(peer)

    def is_ready(self, peer: str) -> bool:
        """Whether a peer takes part, by its transport id."""
        return peer in self._mesh.list_ready()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._wake.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": f"{task.get_name()} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    # --- what happens ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        has_ended = False
        while not has_ended:
            async with self._runtime.events() as events:
                with suppress(SubscriberLagged):  # what was missed is looked at now
                    async for event in events:
                        if isinstance(event, PeerReady | PeerLost | Alone):
                            self._note_peers()
                    has_ended = True

    def _note_peers(self) -> None:
        now_ms = self._mesh.now_ms()
        if self._reaching is not None:
            self._reaching.peers_changed(now_ms)
        is_alone = not self._mesh.list_ready()
        if is_alone and not self._was_alone:
            self._points.visits.hurry(now_ms)
        self._was_alone = is_alone
        self._wake.set()

    def _on_moved(self) -> None:
        self._points.visits.moved(self._mesh.now_ms())
        self._wake.set()

    def _on_lan_found(self, peer: str, addresses: tuple[str, ...]) -> None:
        if peer not in self._mesh.list_ready():
            self._spawn(self._mesh.tell_found([Found(peer, addresses)]), "found on the LAN")

    def _read_own(self) -> bytes:
        """The own record; a point keeps it among those of others."""
        relayed = () if self._reaching is None else self._reaching.relayed_addresses
        now_ms = self._mesh.now_ms()
        wire = self._own.read(now_ms, (*relayed, *self._mesh.addresses))
        if self._options.serves_rendezvous:
            self._book.admit(now_ms, wire)
        return wire

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now_ms = self._mesh.now_ms()
            self._read_own()
            self._points.look_for_missing(now_ms)
            for point in self._points.visits.take_due(now_ms):
                self._spawn(self._points.visit(point), f"visit of {point.peer}")
            self._start_upkeep(now_ms)
            self._start_upgrades(now_ms)
            await asyncio.sleep(REST_MS / 1000)
            await self._rest()

    def _start_upkeep(self, now_ms: int) -> None:
        reaching = self._reaching
        if reaching is None or (self._upkeep is not None and not self._upkeep.done()):
            return
        if reaching.next_deadline() <= now_ms:
            self._upkeep = self._spawn(reaching.step(now_ms), "reachability")

    def _start_upgrades(self, now_ms: int) -> None:
        if self._upgrades is not None:
            for peer in self._upgrades.take_due(now_ms):
                self._spawn(self._upgrades.attempt(peer), f"direct connection to {peer}")

    async def _rest(self) -> None:
        """Until something happens, or the next deadline."""
        deadlines = [self._points.next_deadline]
        if self._reaching is not None and (self._upkeep is None or self._upkeep.done()):
            deadlines.append(self._reaching.next_deadline)
        if self._upgrades is not None:
            deadlines.append(self._upgrades.next_deadline)
        due_ms = find_earliest(deadlines)
        wait_ms = LOOK_MS if due_ms is None else due_ms - self._mesh.now_ms()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, min(wait_ms, LOOK_MS)) / 1000):
                await self._wake.wait()

    # --- for people -----------------------------------------------------------------------------

    def describe(self) -> list[Way]:
        """What was tried, and what came of it."""
        ways = [self._describe_book(), self._describe_lan()]
        points = self._points.describe([peer for peer, _ in self._options.points])
        if self._options.serves_rendezvous:
            held = f"keeps {len(self._book)} records; {self.desk.served} visits so far"
            ways.append(Way("rendezvous", "ok", f"this node is a point: {held}"))
        elif not points:
            fix = "name a member that has `serve_rendezvous = true` with `rendezvous`"
            ways.append(Way("rendezvous", "info", "no point is known", fix))
        ways += points
        if self._reaching is not None:
            ways += self._reaching.describe()
        if self._upgrades is not None:
            ways.append(self._upgrades.describe())
        return ways

    def _describe_book(self) -> Way:
        members = [peer for peer in self._mesh.list_members() if peer != self._mesh.own]
        ready = len(self._mesh.list_ready())
        detail = f"{len(members)} other members known, {ready} connected"
        return Way("book", "info" if ready or not members else "fail", detail)

    def _describe_lan(self) -> Way:
        if self._lan is None:
            fix = "set `mdns = true` to find members on this LAN"
            return Way("mdns", "info", "off", fix)
        if self._lan.error:
            return Way("mdns", "fail", self._lan.error, "set `mdns = false`, or listen on the LAN")
        return Way("mdns", "ok", f"announcing; {self._lan.found} announcements of members heard")


def read_points(texts: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Transport ids and addresses from addresses that end in `/p2p/<id>`; others are left out."""
    points: dict[str, list[str]] = {}
    for text in texts:
        address, mark, peer = text.rpartition("/p2p/")
        if mark and peer:
            points.setdefault(peer, []).append(f"{address}/p2p/{peer}")
    return tuple((peer, tuple(addresses)) for peer, addresses in points.items())
