"""Whether others can dial this node, and the relays that help where they cannot.

Peers are asked to dial back afresh, beside the connection there is. Three answers of different peers
count, the majority holds, so that one liar changes nothing where there are others to ask. A node that
cannot be dialled takes a place at two relays and says so in its record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from meshnode.core.peer_record import ROLE_RELAY
from meshnode.core.transport_id import compute_transport_id
from meshnode.discovery.rendezvous import ask_to_be_dialled, describe_failure
from meshnode.discovery.upgrading import RELAYED_MARK, UpgradePort
from meshnode.discovery.ways import Way
from meshnode.errors import InvalidMessage, TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.peer_id import public_key_from_peer_id

if TYPE_CHECKING:
    from meshnode.core.entropy import Entropy
    from meshnode.core.record_book import RecordBook
    from meshnode.discovery.mesh import Mesh

HELPERS_MAX: Final = 3
ASK_FIRST_MS: Final = 200
"""After a peer has become ready."""
NOBODY_MS: Final = 5_000
"""While there is nobody to ask."""
ASK_AGAIN_MS: Final = 60_000
SURE_MS: Final = 1_800_000
"""Answers of so many peers hold this long."""
RELAYS_WANTED: Final = 2
CLOCK_MAX_MS: Final = 30_000
"""Peers hold back what is stamped two minutes ahead."""
UPKEEP_MS: Final = 15_000
RETRY_FIRST_MS: Final = 2_000
BUSY_CODE: Final = "negotiation_failed"


class Place(Protocol):
    """A reservation at a relay."""

    @property
    def address(self) -> str:
        """Of the relay, as it was dialled."""

    @property
    def expires_s(self) -> int:
        """Unix time."""


class CircuitPort(UpgradePort, Protocol):
    """What a transport with relays can do beside the transport port."""

    @property
    def relays(self) -> Sequence[PeerId]:
        """Relays at which this node has a place now."""

    async def reserve(self, relay: PeerId, addresses: Sequence[str]) -> Place:
        """Take or renew a place. Raises `TransportError`."""

    def release(self, relay: PeerId) -> None:
        """Give a place back."""

    async def probe(self, peer: PeerId, address: str) -> None:
        """Dial a peer afresh. Raises `TransportError`."""


@dataclass(slots=True, eq=False)
class _Held:
    address: str
    renew_ms: int


class Reaching:
    """One node's reachability. `step` does what is due; one at a time."""

    def __init__(
        self,
        mesh: Mesh,
        circuits: CircuitPort,
        book: RecordBook,
        entropy: Entropy,
        *,
        uses_relays: bool,
        on_moved: Callable[[], None],
    ) -> None:
        self._mesh = mesh
        self._circuits = circuits
        self._book = book
        self._entropy = entropy
        self._uses_relays = uses_relays
        self._on_moved = on_moved
        self._answers: dict[str, tuple[bool, str]] = {}
        """By helper, whether it got through and why not."""
        self._offsets: dict[str, int] = {}
        """By helper, how far its clock is ahead of this one, in milliseconds."""
        self._asked_ms: dict[str, int] = {}
        self._ask_due_ms = 0
        self._held: dict[str, _Held] = {}
        self._relay_errors: dict[str, str] = {}
        self._relay_due_ms = 0
        self._retry_ms = RETRY_FIRST_MS

    @property
    def is_reachable(self) -> bool | None:
        """What most of those asked have found; None while nobody was asked."""
        if not self._answers:
            return None
        got_through = sum(reached for reached, _ in self._answers.values())
        return 2 * got_through > len(self._answers)

    @property
    def relayed_addresses(self) -> tuple[str, ...]:
        """Where this node can be dialled through relays."""
        return tuple(
            f"{held.address.partition('/p2p/')[0]}/p2p/{relay}{RELAYED_MARK}/p2p/{self._mesh.own}"
            for relay, held in self._held.items()
        )

    def next_deadline(self) -> int:
        """When `step` has something to do."""
        return min(self._ask_due_ms, self._relay_due_ms)

    def peers_changed(self, now_ms: int) -> None:
        """Somebody has become ready, or has gone: maybe there is somebody to ask now."""
        if len(self._answers) < min(HELPERS_MAX, len(self._mesh.list_ready())):
            self._ask_due_ms = min(self._ask_due_ms, now_ms + ASK_FIRST_MS)

    async def step(self, now_ms: int) -> None:
        """Do what is due."""
        if now_ms >= self._ask_due_ms:
            await self._ask(now_ms)
        if now_ms >= self._relay_due_ms:
            self._relay_due_ms = now_ms + UPKEEP_MS
            await self._keep_relays(now_ms)

    # --- being dialled back ---------------------------------------------------------------------

    async def _ask(self, now_ms: int) -> None:
        ready = self._mesh.list_ready()
        fresh = [
            peer
            for peer, view in ready.items()
            if RELAYED_MARK not in view.address
            and now_ms - self._asked_ms.get(peer, -ASK_AGAIN_MS) >= ASK_AGAIN_MS
        ]
        port = read_port(self._mesh.addresses)
        if not fresh or not port:
            self._ask_due_ms = now_ms + NOBODY_MS
            return
        helper = self._entropy.sample(fresh, 1)[0]
        await self._ask_one(now_ms, helper, port)
        is_sure = len(self._answers) >= min(HELPERS_MAX, len(ready))
        self._ask_due_ms = now_ms + self._entropy.jitter(SURE_MS if is_sure else ASK_FIRST_MS)

    async def _ask_one(self, now_ms: int, helper: str, port: int) -> None:
        self._asked_ms.pop(helper, None)
        self._asked_ms[helper] = now_ms
        while len(self._asked_ms) > HELPERS_MAX * 8:
            del self._asked_ms[next(iter(self._asked_ms))]
        try:
            stream = await self._mesh.open_stream(helper)
            try:
                probed = await ask_to_be_dialled(stream, port)
            finally:
                stream.reset()
        except (InvalidMessage, TransportError, TimeoutError):
            return
        now_ms = self._mesh.now_ms()
        self._offsets.pop(helper, None)
        self._offsets[helper] = probed.time_ms - now_ms
        while len(self._offsets) > HELPERS_MAX:
            del self._offsets[next(iter(self._offsets))]
        if not probed.reachable and probed.reason.startswith("?"):
            return
        self._answers.pop(helper, None)
        self._answers[helper] = (probed.reachable, probed.reason)
        while len(self._answers) > HELPERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._relay_due_ms = 0

    # --- relays ---------------------------------------------------------------------------------

    async def _keep_relays(self, now_ms: int) -> None:
        if self.is_reachable is not False or not self._uses_relays:
            self._give_back()
            return
        standing = self._circuits.relays
        lost = [relay for relay in self._held if relay not in standing]
        for relay in lost:
            del self._held[relay]
        renew = [relay for relay, held in self._held.items() if held.renew_ms <= now_ms]
        before = self.relayed_addresses
        for relay in renew:
            await self._reserve(now_ms, relay)
        if len(self._held) < RELAYS_WANTED:
            await self._find_places(now_ms)
        if lost or self.relayed_addresses != before:
            self._on_moved()

    async def _find_places(self, now_ms: int) -> None:
        candidates = [
            relay
            for record in self._book.list_roles(ROLE_RELAY)
            if (relay := compute_transport_id(record.key)) not in self._held
            and relay != self._mesh.own
        ]
        wanted = RELAYS_WANTED - len(self._held)
        for relay in self._entropy.sample(candidates, wanted):
            await self._reserve(now_ms, relay)
        if self._held or not self._uses_relays:
            self._retry_ms = RETRY_FIRST_MS
        else:
            self._relay_due_ms = now_ms + self._entropy.jitter(self._retry_ms)
            self._retry_ms = min(2 * self._retry_ms, 2 * UPKEEP_MS)

    async def _reserve(self, now_ms: int, relay: str) -> None:
        record = self._book.get(public_key_from_peer_id(relay))
        addresses = () if record is None else record.addresses
        try:
            place = await self._circuits.reserve(PeerId(relay), addresses)
        except TransportError as error:
            self._relay_errors[relay] = error.message
            return
        self._relay_errors.pop(relay, None)
        life_ms = max(0, place.expires_s * 1000 - now_ms)
        self._held[relay] = _Held(place.address, now_ms + life_ms // 2)

    def _give_back(self) -> None:
        had = bool(self._held)
        for relay in list(self._held):
            self._circuits.release(PeerId(relay))
            del self._held[relay]
        if had:
            self._on_moved()

    # --- for people -----------------------------------------------------------------------------

    def describe(self) -> list[Way]:
        """How this node can be reached."""
        return [self._describe_clock(), self._describe_dialling(), self._describe_relays()]

    def _describe_clock(self) -> Way:
        """The median: one liar among three changes nothing."""
        if not self._offsets:
            return Way("clock", "unknown", "no peer was asked for the time yet")
        offset_ms = sorted(self._offsets.values())[len(self._offsets) // 2]
        asked = len(self._offsets)
        if abs(offset_ms) <= CLOCK_MAX_MS:
            return Way("clock", "ok", f"as that of others ({asked} asked)")
        side = "behind" if offset_ms > 0 else "ahead of"
        detail = f"{abs(offset_ms) // 1000} s {side} the clock of most peers ({asked} asked)"
        return Way("clock", "fail", detail, "set the clock, best by NTP")

    def _describe_dialling(self) -> Way:
        reachable = self.is_reachable
        if reachable is None:
            detail = "no peer has dialled back yet"
            return Way("reachable", "unknown", detail, "it is asked once a peer is connected")
        asked = len(self._answers)
        if reachable:
            return Way("reachable", "ok", f"a peer dials back and gets through ({asked} asked)")
        reason = next(why for reached, why in self._answers.values() if not reached)
        return Way(
            "reachable",
            "info" if self._held else "fail",
            f"peers dial back and do not get through: {reason}",
            "open the port in the firewall or router, set `advertise`, or let a member relay",
        )

    def _describe_relays(self) -> Way:
        if not self._uses_relays:
            return Way("relay", "info", "`use_relays` is false: this node takes no places")
        if self._held:
            return Way("relay", "ok", f"has a place at {', '.join(map(_short, self._held))}")
        if self._relay_errors:
            relay, reason = next(iter(self._relay_errors.items()))
            return Way("relay", "fail", f"{_short(relay)}: {reason}", "ask its operator")
        known = len(self._book.list_roles(ROLE_RELAY))
        if self.is_reachable is False:
            detail = "needed, and no member that is known relays"
            return Way(
                "relay", "fail", detail, "set `serve_relay = true` on a node with an open port"
            )
        return Way("relay", "info", f"not needed; {known} known")


async def dial_back(circuits: CircuitPort, mesh: Mesh, peer: str, port: int) -> tuple[str, str]:
    """Dial a ready peer where it is seen; where that is, and why nobody answers there.

    Only the address it comes from is dialled: nobody has this node knock on others' doors.
    """
    view = mesh.list_ready().get(peer)
    if view is None or RELAYED_MARK in view.address:
        return "", "?, seen through a relay"
    parts = view.address.split("/")
    if len(parts) < 5 or parts[1] not in {"ip4", "ip6"}:
        return "", "?, seen at no address"
    try:
        await circuits.probe(PeerId(peer), f"/{parts[1]}/{parts[2]}/tcp/{port}")
    except TransportError as error:
        reason = describe_failure(error)
        # Somebody is there, and had no time: a node that many join at once, for example.
        return parts[2], f"?, {reason}" if error.code == BUSY_CODE else reason
    return parts[2], ""


def read_port(addresses: Sequence[str]) -> int:
    """The port of the first TCP address; 0 for none."""
    for text in addresses:
        parts = text.split("/")
        if len(parts) >= 5 and parts[3] == "tcp" and parts[4].isdecimal():
            return int(parts[4])
    return 0


def _short(peer: str) -> str:
    return f"...{peer[-8:]}"
