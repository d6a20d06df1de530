"""What a node must decide before it has any reason to trust the other end of a socket."""

from __future__ import annotations

import socket
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

from meshnode.errors import TransportError

if TYPE_CHECKING:
    import trio

    from meshnode.transport.limits import TransportLimits

LIBP2P_VERSION = "0.8.1"

KEEPALIVE_IDLE_S = 10
"""Longer than the node's PING lets a connection be silent: where that runs, no probe is sent."""
KEEPALIVE_INTERVAL_S = 3
KEEPALIVE_PROBES = 2
UNACKNOWLEDGED_MS = 10_000


def check_library_version() -> None:
    """Refuse any other release: the adapter relies on details that no release promises to keep."""
    installed = version("libp2p")
    if installed != LIBP2P_VERSION:
        raise TransportError(
            f"libp2p {installed} is installed where {LIBP2P_VERSION} is required",
            hint=f"pip install libp2p=={LIBP2P_VERSION}",
        )


def set_socket_options(stream: trio.SocketStream) -> None:
    """Let the kernel notice a dead peer: 10 s idle + 2 probes, or 10 s without acknowledgement.

    The muxer's own pings ignore a missing answer, so without this a frozen or unplugged peer is
    never noticed. (The node's application PING is the second line.)
    """
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
    )
    for name, value in options:
        option = getattr(socket, name, None)
        if option is not None:  # the kernel's names differ between systems
            stream.setsockopt(socket.IPPROTO_TCP, option, value)


class HandshakeGate:
    """Bounds what strangers hold: handshakes in progress, in total and of one address."""

    def __init__(self, limits: TransportLimits) -> None:
        self._total_max = limits.handshakes
        self._per_ip_max = limits.handshakes_per_ip
        self._by_ip: Counter[str] = Counter()

    @property
    def in_progress(self) -> int:
        """Handshakes that hold a place."""
        return self._by_ip.total()

    def enter(self, ip: str) -> Place | None:
        """Take a place; None when there is none for this address."""
        if self.in_progress >= self._total_max or self._by_ip[ip] >= self._per_ip_max:
            return None
        self._by_ip[ip] += 1
        return Place(self._by_ip, ip)


class Place:
    """A place in the gate, to be left when the stranger is a peer or gone."""

    def __init__(self, by_ip: Counter[str], ip: str) -> None:
        self._by_ip = by_ip
        self._ip = ip
        self._left = False

    def leave(self) -> None:
        """Give the place back. Harmless when it was given back."""
        if self._left:
            return
        self._left = True
        self._by_ip[self._ip] -= 1
        if not self._by_ip[self._ip]:
            del self._by_ip[self._ip]
