"""What carries messages between nodes: latency, jitter, loss, bandwidth, and who reaches whom.

A message is either a datagram (it may be lost, doubled or overtaken) or ordered, as on a
connection (what would be lost arrives later, and nothing overtakes). Every message is accounted
for: sent + duplicated = delivered + dropped + in flight, at every moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from simulations.errors import BadModel
from simulations.kernel import NS_PER_MS, Kernel
from simulations.latency import Constant, Latency

if TYPE_CHECKING:
    import random

ARRIVAL: Final = 1
"""Kind of the event of an arriving message; its payload is (source, message)."""
NS_PER_S: Final = 1_000_000_000
RETRANSMISSIONS_MAX: Final = 6
"""Losses in a row that are added up; beyond this a connection would be given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The weather of a network. Shares are of messages, from 0 to 1."""

    latency: Latency = field(default_factory=lambda: Constant(20.0))
    jitter_sigma: float = 0.0
    """Of a lognormal factor of median 1: 0.05 within clouds, 0.65 at home."""
    loss: float = 0.0
    """Datagrams vanish; what is ordered waits for `retransmit_ms`, doubling with each loss."""
    retransmit_ms: int = 200
    duplicate: float = 0.0
    """Datagrams that arrive twice."""
    reorder: float = 0.0
    """Datagrams held back, so that later ones overtake them."""
    reorder_ms: int = 50
    """Held back at most this long."""
    uplink_bps: int = 0
    """Bits per second each node sends, one message after the other; 0 is without end."""
    reliable: bool = False
    """Whether messages of processes are ordered; those of cores always are."""
    detect_ms: int = 0
    """How long both ends of a connection take to notice a cut."""

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        for name in ("loss", "duplicate", "reorder"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise BadModel(f"{name} {getattr(self, name)} is no share from 0 to 1")


@dataclass(slots=True)
class Counters:
    """What became of every message."""

    sent: int = 0
    duplicated: int = 0
    delivered: int = 0
    dropped: int = 0
    in_flight: int = 0
    sent_bytes: int = 0
    lost: int = 0
    """Of the dropped, those that the weather took."""
    parted: int = 0
    """Of the dropped, those that a cut or a NAT stopped."""
    held_back: int = 0
    """Those that others may overtake."""
    clogged: int = 0
    """Those that a clogged direction held up."""

    @property
    def conserved(self) -> bool:
        """Whether no message was lost track of."""
        return self.sent + self.duplicated == self.delivered + self.dropped + self.in_flight


@dataclass(frozen=True, eq=False, slots=True)
class Cut:
    """Messages from any of these nodes to any of those do not arrive."""

    sources: frozenset[int]
    targets: frozenset[int]

    def covers(self, source: int, target: int) -> bool:
        """Whether it stands between two nodes."""
        return source in self.sources and target in self.targets


class Network:
    """Carries messages between the nodes of a kernel."""

    def __init__(self, kernel: Kernel, settings: NetworkSettings, stream: random.Random) -> None:
        self.settings = settings
        self.counters = Counters()
        self.uplinks_bps: dict[int, int] = {}
        """Nodes whose uplink differs from the settings'."""
        self.watchers: list[Callable[[int, int, Any, int, int], None]] = []
        """Called with source, target, message, size and arrival of all that is under way."""
        self._kernel = kernel
        self._stream = stream
        self._cuts: list[Cut] = []
        self._clogged: dict[tuple[int, int], int] = {}
        self._hidden: dict[int, None] = {}
        self._opened: dict[tuple[int, int], None] = {}
        self._uplink_free_ns: dict[int, int] = {}
        self._floors: dict[tuple[int, int], int] = {}

    def change(self, settings: NetworkSettings) -> None:
        """From now on other weather; what is under way is not touched."""
        self.settings = settings

    # --- sending --------------------------------------------------------------------------------

    def send(self, source: int, target: int, message: object, size_bytes: int = 0) -> None:
        """Send a process's message, as a datagram or in order as the settings say."""
        if self.settings.reliable:
            floor_ns = self._floors.get((source, target), 0)
            arrival_ns = self.send_ordered(source, target, message, size_bytes, floor_ns)
            if arrival_ns is not None:
                self._floors[source, target] = arrival_ns
        else:
            self._send_datagram(source, target, message, size_bytes)

    def send_ordered(
        self, source: int, target: int, message: object, size_bytes: int, floor_ns: int
    ) -> int | None:
        """Send what arrives after `floor_ns`; answers when it does, or None if it cannot."""
        counters, settings = self.counters, self.settings
        counters.sent += 1
        counters.sent_bytes += size_bytes
        if self._cuts and self.is_cut(source, target):
            counters.dropped += 1
            counters.parted += 1
            return None
        arrival_ns = self._depart_ns(source, size_bytes) + self.travel_ns(source, target)
        if settings.loss:
            arrival_ns += self._retransmit_ns()
        arrival_ns = max(arrival_ns, floor_ns + 1)
        self._launch(arrival_ns, source, target, message, size_bytes)
        return arrival_ns

    def _send_datagram(self, source: int, target: int, message: object, size_bytes: int) -> None:
        counters, settings, stream = self.counters, self.settings, self._stream
        counters.sent += 1
        counters.sent_bytes += size_bytes
        departure_ns = self._depart_ns(source, size_bytes)
        if self._hidden:
            self._opened[source, target] = None
        is_lost = settings.loss and stream.random() < settings.loss
        if is_lost or not self.reaches(source, target):
            counters.dropped += 1
            if is_lost:
                counters.lost += 1
            else:
                counters.parted += 1
            return
        copies = 1
        if settings.duplicate and stream.random() < settings.duplicate:
            copies = 2
            counters.duplicated += 1
        for _ in range(copies):
            arrival_ns = departure_ns + self.travel_ns(source, target)
            if settings.reorder and stream.random() < settings.reorder:
                arrival_ns += int(stream.random() * settings.reorder_ms * NS_PER_MS)
                counters.held_back += 1
            self._launch(arrival_ns, source, target, message, size_bytes)

    def _launch(
        self, arrival_ns: int, source: int, target: int, message: object, size_bytes: int
    ) -> None:
        self.counters.in_flight += 1
        self._kernel.schedule(arrival_ns, target, ARRIVAL, (source, message))
        for watch in self.watchers:
            watch(source, target, message, size_bytes, arrival_ns)

    def land(self, *, taken: bool) -> None:
        """Account for an arrival; every handler of `ARRIVAL` calls it once."""
        counters = self.counters
        counters.in_flight -= 1
        if taken:
            counters.delivered += 1
        else:
            counters.dropped += 1

    # --- how long -------------------------------------------------------------------------------

    def travel_ns(self, source: int, target: int) -> int:
        """Draw how long a message is under way, once it has left."""
        settings = self.settings
        delay_ns = settings.latency.sample_ns(source, target, self._stream)
        if settings.jitter_sigma:
            delay_ns = int(delay_ns * math.exp(self._stream.gauss(0.0, settings.jitter_sigma)))
        if self._clogged:
            left_ns = self._clogged.get((source, target), 0) - self._kernel.now_ns
            if left_ns > 0:
                delay_ns += left_ns
                self.counters.clogged += 1
        return delay_ns

    def _depart_ns(self, source: int, size_bytes: int) -> int:
        """When the last bit has left; a node's messages leave one after the other."""
        now_ns = self._kernel.now_ns
        rate_bps = self.uplinks_bps.get(source, self.settings.uplink_bps)
        if not rate_bps:
            return now_ns
        start_ns = max(now_ns, self._uplink_free_ns.get(source, 0))
        self._uplink_free_ns[source] = free_ns = start_ns + size_bytes * 8 * NS_PER_S // rate_bps
        return free_ns

    def _retransmit_ns(self) -> int:
        wait_ns, total_ns = self.settings.retransmit_ms * NS_PER_MS, 0
        for _ in range(RETRANSMISSIONS_MAX):
            if self._stream.random() >= self.settings.loss:
                break
            total_ns += wait_ns
            wait_ns *= 2
        return total_ns

    # --- who reaches whom -----------------------------------------------------------------------

    def cut(
        self, sources: Iterable[int], targets: Iterable[int], *, both_ways: bool = True
    ) -> tuple[Cut, ...]:
        """Part nodes from others until the cuts are healed. Connections are not told: see `World`."""
        there = Cut(frozenset(sources), frozenset(targets))
        cuts = (there, Cut(there.targets, there.sources)) if both_ways else (there,)
        self._cuts.extend(cuts)
        return cuts

    def heal(self, cuts: Iterable[Cut] | None = None) -> None:
        """Undo these cuts, or all of them."""
        gone = list(self._cuts if cuts is None else cuts)
        self._cuts = [cut for cut in self._cuts if cut not in gone]

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts that stand."""
        return tuple(self._cuts)

    def is_cut(self, source: int, target: int) -> bool:
        """Whether a cut stands between two nodes, in this direction."""
        return any(cut.covers(source, target) for cut in self._cuts)

    def clog(self, source: int, target: int, until_ns: int) -> None:
        """Hold up what is sent in this direction until a time."""
        self._clogged[source, target] = until_ns

    def unclog(self) -> None:
        """Hold up nothing any more."""
        self._clogged.clear()

    def hide(self, node: int) -> None:
        """Put a node behind a NAT: it calls others, and only those it has called reach it."""
        self._hidden[node] = None

    def show(self, node: int) -> None:
        """Take a node out from behind its NAT."""
        self._hidden.pop(node, None)

    def is_dialable(self, source: int, target: int) -> bool:
        """Whether a connection can be opened; needs both directions, and a target in the open."""
        return target not in self._hidden and not (
            self._cuts and (self.is_cut(source, target) or self.is_cut(target, source))
        )

    def reaches(self, source: int, target: int) -> bool:
        """Whether a datagram sent now gets through cuts and NATs."""
        if self._cuts and self.is_cut(source, target):
            return False
        return target not in self._hidden or (target, source) in self._opened


def describe(counters: Counters) -> dict[str, Any]:
    """Counters as a row of a result."""
    return {
        "messages_sent": counters.sent,
        "messages_duplicated": counters.duplicated,
        "messages_delivered": counters.delivered,
        "messages_dropped": counters.dropped,
        "messages_in_flight": counters.in_flight,
        "sent_bytes": counters.sent_bytes,
    }
