"""The messages of DCUtR (direct connection upgrade through relay), and whom they may make us dial.

    initiator, whom the relayed connection has reached     responder, who has dialled it
    CONNECT(own addresses)  ------------------------------>
                            <------------------------------  CONNECT(own addresses)
    SYNC                    ------------------------------>  dials at once
    half a round trip later: dials

libp2p's own records, length-prefixed, at most 4,096 bytes. A peer names addresses; dialled are only
those at the host that the relay sees it come from, so that nobody has this node knock on the doors
of others: who would have it dial a third party needs the relay as an accomplice, and gets three
ports of one host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch

from meshnode.errors import TransportError
from meshnode.transport.libp2p.addresses import decode_address, encode_address
from meshnode.transport.libp2p.relay_messages import read_message, write_message

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

DCUTR_PROTOCOL: Final = "/libp2p/dcutr"
TARGETS_MAX: Final = 3
NAMED_MAX: Final = 20
"""Addresses of one message that are looked at."""
PORT_MIN: Final = 1_024
"""Below are services that no router maps a caller to."""


class PunchFailed(TransportError):
    """No direct connection came of it; the message says why."""

    code = "punch_failed"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a peer may be met."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """As a multiaddr."""
        return f"/{'ip6' if ':' in self.host else 'ip4'}/{self.host}/tcp/{self.port}"


async def send_connect(stream: YamuxStream, own: Iterable[Target]) -> None:
    """Name the own addresses. Raises `TransportError`."""
    named = [encode_address(target.text) for target in own]
    await write_message(stream, HolePunch(type=HolePunch.CONNECT, ObsAddrs=named))


async def read_connect(stream: YamuxStream, timeout_ms: int) -> tuple[bytes, ...]:
    """The addresses that the peer names, unchecked. Raises `TransportError`."""
    message: Any = await read_message(stream, HolePunch, timeout_ms)
    if not message.HasField("type") or message.type != HolePunch.CONNECT:
        raise PunchFailed("the peer said something else than CONNECT")
    return tuple(message.ObsAddrs[:NAMED_MAX])


async def send_sync(stream: YamuxStream) -> None:
    """Have the peer dial now. Raises `TransportError`."""
    await write_message(stream, HolePunch(type=HolePunch.SYNC))


async def read_sync(stream: YamuxStream, timeout_ms: int) -> None:
    """Wait for the word to dial. Raises `TransportError`."""
    message: Any = await read_message(stream, HolePunch, timeout_ms)
    if message.type != HolePunch.SYNC:
        raise PunchFailed("the peer said something else than SYNC")


def pick_targets(
    named: Sequence[bytes], *, seen_host: str | None, relay_host: str
) -> tuple[Target, ...]:
    """Those of a peer's addresses that may be dialled. Raises `PunchFailed` where none may.

    `seen_host` is where the relay sees the peer, `relay_host` where this node reaches the relay: a
    relay out on the Internet leads to no address of a private network.
    """
    if seen_host is None:
        raise PunchFailed("the relay does not say where it sees the peer")
    host = ipaddress.ip_address(seen_host)
    if _rank(host) < _rank(ipaddress.ip_address(relay_host)):
        raise PunchFailed("the peer is seen at an address that leads nowhere from here")
    targets: dict[Target, None] = {}
    for data in named[:NAMED_MAX]:
        try:
            address = decode_address(data)
        except TransportError:
            continue
        if ipaddress.ip_address(address.host) == host and address.port >= PORT_MIN:
            targets[Target(str(host), address.port)] = None
    if not targets:
        raise PunchFailed("the peer names no address at which the relay sees it")
    return tuple(targets)[:TARGETS_MAX]


def _rank(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """How far an address leads: nowhere, to this machine, within a network, everywhere."""
    if host.is_multicast or host.is_unspecified or host.is_link_local:
        return -1
    if host.is_loopback:
        return 0
    return 2 if host.is_global else 1
