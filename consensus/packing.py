"""Sets of ids and of authors as bytes: one form per set, a fraction of the size of a list."""

from __future__ import annotations

from collections.abc import Iterable

from dag.errors import MalformedMessage
from dag.types import ID_BYTES


def pack_ids(ids: Iterable[bytes]) -> bytes:
    """Ids joined, ascending."""
    return b"".join(sorted(ids))


def unpack_ids(data: bytes) -> list[bytes]:
    """The ids of a packed set. Raises `MalformedMessage` for bytes that hold half an id."""
    if len(data) % ID_BYTES:
        raise MalformedMessage(f"{len(data)} bytes are no whole number of ids")
    return [data[start : start + ID_BYTES] for start in range(0, len(data), ID_BYTES)]


def pack_bits(bits: int) -> bytes:
    """Bits as the fewest bytes, the highest first."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "big")


def unpack_bits(data: bytes) -> int:
    """The bits of `pack_bits`."""
    return int.from_bytes(data, "big")
