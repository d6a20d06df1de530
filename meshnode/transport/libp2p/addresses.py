"""Multiaddrs of TCP endpoints: the addresses a node listens on, advertises and dials."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError

from meshnode.errors import TransportError

if TYPE_CHECKING:
    from meshnode.transport.base import PeerId

ADDRESS_BYTES_MAX = 64
"""Of an address in a message: an IP address with a port, and a peer id behind it."""
HOST_PROTOCOLS = ("ip4", "ip6", "dns4", "dns6", "dns")

# Addresses reserved for documentation stand for "anywhere outside".
UNSPECIFIED_HOSTS = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1", "127.0.0.1"),  # noqa: S104 - compared, not bound
    "::": (socket.AF_INET6, "2001:db8::1", "::1"),
}


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Where to listen or dial: /ip4|ip6|dns*/<host>/tcp/<port>[/p2p/<peer id>]."""

    host_kind: str
    host: str
    port: int
    peer: str | None = None
    relay: str | None = None
    """The peer at this place that hands connections on to `peer`, for a relayed address."""

    def dialable(self, port: int, peer: PeerId) -> str:
        """The text others dial, with the port really bound and a host that means this machine."""
        host = self.host
        if host in UNSPECIFIED_HOSTS:
            host = _outward_host(UNSPECIFIED_HOSTS[host])
        return f"/{self.host_kind}/{host}/tcp/{port}/p2p/{peer}"


def _outward_host(probe: tuple[socket.AddressFamily, str, str]) -> str:
    """The address this machine would send from; loopback when it has no network.

    Connecting a datagram socket sends nothing: it only asks the routing table.
    """
    family, far_host, loopback = probe
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((far_host, 9))
        except OSError:
            return loopback
        return str(sock.getsockname()[0])


def parse_dial_address(text: str) -> TcpAddress:
    """Read an address to dial, which may lead through a relay; raises `TransportError`."""
    before, mark, behind = text.partition("/p2p-circuit")
    if not mark:
        return parse_address(text)
    relay = parse_address(before)
    if relay.peer is None:
        raise TransportError(
            f"{text[:128]!r} names no relay", hint="write /ip4/203.0.113.7/tcp/4001/p2p/<relay>/..."
        )
    peer = None
    if behind:
        name, _, peer = behind.removeprefix("/").partition("/")
        if name != "p2p" or not peer or "/" in peer:
            raise TransportError(
                f"{text[:128]!r} is not a relayed address", hint="end it with /p2p/<peer>"
            )
    return TcpAddress(relay.host_kind, relay.host, relay.port, peer, relay.peer)


def parse_address(text: str) -> TcpAddress:
    """Read an address; raises `TransportError` with the reason it cannot be used."""
    try:
        parts = [(protocol.name, value) for protocol, value in Multiaddr(text).items()]
    except (MultiaddrError, ValueError) as error:
        raise TransportError(
            f"{text[:128]!r} is not a multiaddr", hint="write /ip4/203.0.113.7/tcp/4001"
        ) from error
    names = [name for name, _ in parts]
    if "p2p-circuit" in names:
        raise TransportError(f"{text[:128]!r} is relayed", hint="write the address itself")
    if not (names[:1] and names[0] in HOST_PROTOCOLS and names[1:] in (["tcp"], ["tcp", "p2p"])):
        raise TransportError(
            f"{text[:128]!r} is not a TCP address", hint="write /ip4/203.0.113.7/tcp/4001"
        )
    peer = parts[2][1] if len(parts) == 3 else None
    return TcpAddress(names[0], str(parts[0][1]), int(parts[1][1]), peer)


def encode_address(text: str) -> bytes:
    """A multiaddr as libp2p's messages carry it."""
    return bytes(Multiaddr(text).to_bytes())


def decode_address(data: bytes) -> TcpAddress:
    """The TCP endpoint of an IP address out of a message; raises `TransportError`."""
    if not 0 < len(data) <= ADDRESS_BYTES_MAX:
        raise TransportError(f"{len(data)} bytes are not the address of a TCP endpoint")
    try:
        text = str(Multiaddr(data))
    except (MultiaddrError, ValueError) as error:
        raise TransportError("a message names something that is no address") from error
    address = parse_address(text)
    if address.host_kind not in {"ip4", "ip6"}:
        raise TransportError(f"{text[:128]!r} names a host by its name")
    return address
