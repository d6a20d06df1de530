"""From a profile's transport key to the name its connections carry.

libp2p names a host by the identity multihash of its protobuf-framed public key, in base58.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

REMEMBERED_MAX: Final = 8_192
"""Names kept, of members above all: a name is asked for often, and costs a long division."""

_ED25519_PREFIX: Final = bytes((0x00, 0x24, 0x08, 0x01, 0x12, 0x20))
"""Identity multihash of 36 bytes; key type Ed25519; 32 bytes of key."""
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@lru_cache(REMEMBERED_MAX)
def compute_transport_id(libp2p_key: bytes) -> str:
    """The transport id of an Ed25519 host key."""
    return _encode_base58(_ED25519_PREFIX + libp2p_key)


def _encode_base58(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\x00"))
    return _ALPHABET[0] * zeros + "".join(reversed(digits))
