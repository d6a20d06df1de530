"""Which addresses may be one operator's: a public /16 of IPv4, a /32 of IPv6.

Whoever fills a victim's neighbourhood with peers of its own needs many addresses; those within one
block cost little, so few of a block are taken. Private and loopback addresses are a laboratory's.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

_PARTS_MIN: Final = 3
"""Of a multiaddress with a value: an empty part, the name of the protocol, the value."""
_IPV4_SHIFT: Final = 16
_IPV6_SHIFT: Final = 96


def find_group(address: str) -> str:
    """The block a multiaddress lies in; empty where none can be told, or none matters."""
    parts = address.split("/")
    if len(parts) < _PARTS_MIN or parts[0]:
        return ""
    try:
        if parts[1] == "ip4":
            four = IPv4Address(parts[2])
            return f"ip4/{int(four) >> _IPV4_SHIFT}" if four.is_global else ""
        if parts[1] == "ip6":
            six = IPv6Address(parts[2])
            return f"ip6/{int(six) >> _IPV6_SHIFT}" if six.is_global else ""
    except ValueError:
        return ""
    return ""
