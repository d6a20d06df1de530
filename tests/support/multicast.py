"""Whether this machine carries multicast on its loopback interface."""

from __future__ import annotations

import functools
import socket

GROUP = "239.255.77.7"


@functools.cache
def find_obstacle() -> str | None:
    """Why packets to a group do not come back here; None where they do."""
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            receiver.bind(("", 0))
            own = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, own)
            receiver.settimeout(5)
            sender.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
            )
            sender.sendto(b"here", (GROUP, receiver.getsockname()[1]))
            receiver.recv(16)
    except OSError as error:
        return f"no multicast on loopback: {error}"
    return None
