"""Connections between hosts: reliable and ordered each way until they end, as transports promise.

Opening one costs two round trips. An end closes its own side at once; the other side hears of it
behind whatever was under way. A cut breaks a connection for both, and both hear of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.core.inputs import Connected, DialEnded, Disconnected
from simulations.kernel import NS_PER_MS

if TYPE_CHECKING:
    from meshnode.core.effects import Dial
    from meshnode.core.messages import Message
    from simulations.host import Host
    from simulations.kernel import Kernel
    from simulations.network import Network

CHANNELS: Final = (0, 1)
DIAL_TIMEOUT_MS: Final = 5_000
DIALLER: Final = 0
TARGET: Final = 1

Parcel = tuple["Link", int, "Message | None", bytes]
"""The connection, the receiving end, the message if it was sent as an object, its frame."""


class Link:
    """One connection; end 0 has dialled end 1."""

    __slots__ = ("broken", "floors", "hosts", "opened", "told")

    def __init__(self, dialler: Host, target: Host) -> None:
        self.hosts = (dialler, target)
        self.opened = [True, True]
        self.told = [False, False]
        """Which ends know of it: only they hear that it has ended."""
        self.broken = False
        self.floors: dict[tuple[int, int], int] = {}
        """By sending end and channel, when the last message arrives."""

    @property
    def stands(self) -> bool:
        """Whether both sides are open."""
        return all(self.opened) and not self.broken

    def end_of(self, host: Host) -> int:
        """Which end a host is."""
        return DIALLER if host is self.hosts[DIALLER] else TARGET

    def takes(self, end: int) -> bool:
        """Whether what arrives at an end is still wanted there."""
        return self.opened[end] and not self.broken


class Links:
    """Opens, uses and ends the connections of a world's hosts."""

    def __init__(self, kernel: Kernel, network: Network) -> None:
        self._kernel = kernel
        self._network = network
        self._directory: dict[str, list[Host]] = {}
        self._routes: dict[tuple[int, str], Host] = {}

    def add(self, host: Host) -> None:
        """Make a host known by its transport id."""
        self._directory.setdefault(host.name, []).append(host)

    def set_route(self, viewer: Host, target: Host) -> None:
        """Of several hosts with one identity, lead this viewer to that one."""
        self._routes[viewer.index, target.name] = target

    def find(self, viewer: Host, name: str) -> Host | None:
        """The host a viewer reaches under a transport id."""
        found = self._directory.get(name)
        return self._routes.get((viewer.index, name), found[0]) if found else None

    # --- opening --------------------------------------------------------------------------------

    def dial(self, dialler: Host, effect: Dial) -> None:
        """Open a connection; ends in exactly one receipt unless the dialler dies."""
        life, job, now_ns = dialler.life, effect.job, self._kernel.now_ns
        target = self.find(dialler, effect.peer)
        address = next(
            (one for one in effect.addresses if target and one in target.settings.addresses), ""
        )
        if target is None or not address:
            self._kernel.at(now_ns, self._fail, dialler, life, job, "nobody at this address")
        elif not self._network.is_dialable(dialler.index, target.index):
            due_ns = now_ns + DIAL_TIMEOUT_MS * NS_PER_MS
            self._kernel.at(due_ns, self._fail, dialler, life, job, "timed out")
        else:
            due_ns = now_ns + self._trip_ns(dialler, target) + self._trip_ns(target, dialler)
            due_ns += self._trip_ns(dialler, target)
            self._kernel.at(due_ns, self._accept, dialler, life, target, job, address)

    def _trip_ns(self, source: Host, target: Host) -> int:
        return self._network.travel_ns(source.index, target.index)

    def _fail(self, dialler: Host, life: int, job: int, error: str) -> None:
        dialler.complete(life, job, DialEnded(error))

    def _accept(self, dialler: Host, life: int, target: Host, job: int, address: str) -> None:
        if dialler.life != life or not dialler.is_up:
            return
        due_ns = self._kernel.now_ns + self._trip_ns(target, dialler)
        error = self._refusal(dialler, target)
        if error:
            self._kernel.at(due_ns, self._fail, dialler, life, job, error)
            return
        link = target.links.get(dialler.name)
        if link is None:
            link = Link(dialler, target)
            dialler.links[target.name] = target.links[dialler.name] = link
            for channel in CHANNELS:  # nothing overtakes the news that the connection stands
                link.floors[TARGET, channel] = due_ns
            self._tell_connected(link, TARGET, dialler.settings.addresses[0])
        self._kernel.at(due_ns, self._confirm, dialler, life, link, job, address)

    def _refusal(self, dialler: Host, target: Host) -> str:
        if not target.is_up:
            return "refused"
        if not self._network.is_dialable(dialler.index, target.index):
            return "timed out"
        if self.find(target, dialler.name) is not dialler:
            return "another host has this name here"
        for one, other in ((dialler, target), (target, dialler)):
            held = one.links.get(other.name)
            if held is None:
                continue
            if other not in held.hosts:
                return "another host holds a connection under this name"
            if not held.stands:
                self._close(held, held.end_of(one), "replaced")
        return ""

    def _confirm(self, dialler: Host, life: int, link: Link, job: int, address: str) -> None:
        end = link.end_of(dialler)
        if dialler.life != life:
            if not link.told[end]:  # the core that asked for it is no more, and no other expects it
                self.hang_up(dialler, link.hosts[1 - end].name, "nobody waits for it")
            return
        error = "" if link.takes(end) else "the connection was lost"
        if not error and not link.told[end]:
            self._tell_connected(link, end, address)
        self._fail(dialler, life, job, error)

    def _tell_connected(self, link: Link, end: int, address: str) -> None:
        link.told[end] = True
        host, peer, inbound = link.hosts[end], link.hosts[1 - end].name, end == TARGET

        def connected(now_ms: int) -> Connected:
            host.heard[peer] = link
            return Connected(now_ms, peer, inbound, address)

        host.take(connected)

    # --- use ------------------------------------------------------------------------------------

    def send(
        self, source: Host, peer: str, channel: int, message: Message | None, frame: bytes
    ) -> int | None:
        """Send over a standing connection; answers to which node, or None if there is none."""
        link = source.links.get(peer)
        if link is None or source.heard.get(peer) is not link:
            return None
        end = link.end_of(source)
        target = link.hosts[1 - end]
        arrival_ns = self._network.send_ordered(
            source.index,
            target.index,
            (link, 1 - end, message, frame),
            len(frame),
            link.floors.get((end, channel), 0),
        )
        if arrival_ns is not None:
            link.floors[end, channel] = arrival_ns
        return target.index

    # --- ending ---------------------------------------------------------------------------------

    def hang_up(self, host: Host, peer: str, reason: str) -> None:
        """End a connection from one side."""
        link = host.links.get(peer)
        if link is not None:
            end = link.end_of(host)
            self._close(link, end, reason)
            self._close_later(link, 1 - end, "hung up")

    def drop(self, host: Host) -> None:
        """A host is gone; its peers hear of it."""
        for link in list(host.links.values()):
            end = link.end_of(host)
            link.told[end] = False
            self._close(link, end, "")
            self._close_later(link, 1 - end, "connection reset")

    def sever(self) -> None:
        """Break every connection that a cut goes through."""
        delay_ns = self._network.settings.detect_ms * NS_PER_MS
        for hosts in list(self._directory.values()):
            for link in [link for host in hosts for link in host.links.values()]:
                one, other = (host.index for host in link.hosts)
                crossed = self._network.is_cut(one, other) or self._network.is_cut(other, one)
                if crossed and not link.broken:
                    link.broken = True
                    for end in (DIALLER, TARGET):
                        self._kernel.after(delay_ns, self._close, link, end, "cut")

    def _close_later(self, link: Link, end: int, reason: str) -> None:
        if not link.opened[end] or link.broken:
            return
        sender = 1 - end
        floors_ns = [link.floors.get((sender, channel), 0) for channel in CHANNELS]
        trip_ns = self._trip_ns(link.hosts[sender], link.hosts[end])
        due_ns = max(self._kernel.now_ns + trip_ns, *floors_ns) + 1
        self._kernel.at(due_ns, self._close, link, end, reason)

    def _close(self, link: Link, end: int, reason: str) -> None:
        if not link.opened[end]:
            return
        link.opened[end] = False
        host, peer = link.hosts[end], link.hosts[1 - end].name
        if host.links.get(peer) is link:
            del host.links[peer]
        if not link.told[end]:
            return

        def disconnected(now_ms: int) -> Disconnected:
            host.heard.pop(peer, None)
            return Disconnected(now_ms, peer, reason)

        host.take(disconnected)
