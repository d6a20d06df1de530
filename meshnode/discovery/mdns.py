"""Members on the same LAN, by multicast DNS.

The library runs in a thread and an event loop of its own: whatever arrives from the LAN, and the
seconds its start and end may take, are not this node's loop's. Only what opens with the network's
id comes over, a bounded number at a time.

It announces on the interfaces this node listens on, and nothing but a random name, the port and the
box of `meshnode.discovery.announcement`: no host name, no name of the node, of the network or of
its members.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from meshnode.discovery.announcement import (
    NONCE_BYTES,
    VERSION,
    open_announcement,
    seal_announcement,
)
from meshnode.transport.peer_id import peer_id_from_public_key, public_key_from_peer_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zeroconf import ServiceBrowser, ServiceStateChange, Zeroconf

    OnFound = Callable[[str, tuple[str, ...]], None]

SERVICE_TYPE: Final = "_meshnode._tcp.local."
LOOKUP_MS: Final = 500
"""How long an announcement that came without its addresses is asked for them."""
FOUND_AT_ONCE_MAX: Final = 32
"""Announcements on their way to the node's loop."""
NAMES_MAX: Final = 256
"""Announcements looked at per `NAMES_S`: a LAN has few nodes, a flood has many."""
NAMES_S: Final = 60.0
ADDRESSES_MAX: Final = 4


class LanDiscovery:
    """Announces one node and finds others, from `start` to `close`."""

    def __init__(
        self, network: bytes, peer: str, addresses: Sequence[str], on_found: OnFound
    ) -> None:
        """`addresses` are what the node listens on; `on_found` is called in the node's loop."""
        self._network = network
        self._peer = peer
        self._hosts, self._port = read_ip4_hosts(addresses)
        self._on_found = on_found
        self._loop: asyncio.AbstractEventLoop | None = None
        self._zeroconf: Zeroconf | None = None
        self._browser: ServiceBrowser | None = None
        self._lock = threading.Lock()
        self._under_way = 0
        self._looked_at = 0
        self._window_s = 0.0
        self.error = ""
        """Why nothing is announced, where that failed."""
        self.found = 0
        """Announcements of members so far."""

    async def start(self) -> None:
        """Announce and listen; a LAN that cannot be used is noted in `error`, never raised."""
        if not self._hosts:
            self.error = "this node listens on no IPv4 address"
            return
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            self.error = f"multicast cannot be used here: {error.strerror or error}"
            await self.close()

    async def close(self) -> None:
        """Say goodbye to the LAN and end the thread."""
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, Zeroconf

        self._zeroconf = zeroconf = Zeroconf(
            interfaces=list(self._hosts), ip_version=IPVersion.V4Only
        )
        name = os.urandom(8).hex()
        key = public_key_from_peer_id(self._peer)
        sealed = seal_announcement(self._network, key, os.urandom(NONCE_BYTES))
        info = ServiceInfo(
            SERVICE_TYPE,
            f"{name}.{SERVICE_TYPE}",
            parsed_addresses=list(self._hosts),
            port=self._port,
            properties={"v": VERSION, "m": sealed},
            server=f"{name}.local.",
        )
        # The name is random: asking first whether somebody has it takes a second for nothing.
        zeroconf.register_service(info, cooperating_responders=True)
        self._browser = ServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._on_change])

    def _close(self) -> None:
        browser, self._browser = self._browser, None
        zeroconf, self._zeroconf = self._zeroconf, None
        if browser is not None:
            browser.cancel()
        if zeroconf is not None:
            zeroconf.close()

    # --- in the library's thread ----------------------------------------------------------------

    def _on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        from zeroconf import ServiceInfo, ServiceStateChange

        if state_change is ServiceStateChange.Removed or not self._may_look():
            return
        info = ServiceInfo(service_type, name)
        if info.load_from_cache(zeroconf) or info.request(zeroconf, LOOKUP_MS):
            found = read_announcement(self._network, info)
            if found is not None and found[0] != self._peer:
                self._hand_over(*found)

    def _may_look(self) -> bool:
        assert self._loop is not None
        now_s = self._loop.time()
        if now_s - self._window_s >= NAMES_S:
            self._window_s, self._looked_at = now_s, 0
        self._looked_at += 1
        return self._looked_at <= NAMES_MAX

    def _hand_over(self, peer: str, addresses: tuple[str, ...]) -> None:
        assert self._loop is not None
        with self._lock:
            if self._under_way >= FOUND_AT_ONCE_MAX or self._loop.is_closed():
                return
            self._under_way += 1
        self._loop.call_soon_threadsafe(self._take, peer, addresses)

    # --- in the node's loop ---------------------------------------------------------------------

    def _take(self, peer: str, addresses: tuple[str, ...]) -> None:
        with self._lock:
            self._under_way -= 1
        self.found += 1
        self._on_found(peer, addresses)


def read_announcement(network: bytes, info: Any) -> tuple[str, tuple[str, ...]] | None:
    """Whom a member's announcement names and where; None for one of anybody else, or of no use."""
    if info.properties.get(b"v") != VERSION or not info.port:
        return None
    key = open_announcement(network, info.properties.get(b"m") or b"")
    if key is None:
        return None
    addresses = tuple(
        f"/ip4/{host}/tcp/{info.port}" for host in info.parsed_addresses() if ":" not in host
    )
    if not addresses:
        return None
    return peer_id_from_public_key(key), addresses[:ADDRESSES_MAX]


def read_ip4_hosts(addresses: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """The IPv4 addresses of multiaddrs, and the port of the first of them."""
    hosts: dict[str, None] = {}
    port = 0
    for text in addresses:
        parts = text.split("/")
        if len(parts) < 5 or parts[1] != "ip4" or parts[3] != "tcp":
            continue
        if ipaddress.ip_address(parts[2]).is_unspecified:
            continue
        port = port or int(parts[4])
        if int(parts[4]) == port:
            hosts[parts[2]] = None
    return tuple(hosts), port
