"""Vertices packed into messages that fit a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.transport.base import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_OVERHEAD: Final = 5
"""Header of a byte string in MessagePack, at most."""
FRAME_OVERHEAD: Final = 64
"""Tag, request number, array headers, flags."""


def pack(wires: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut wires into lists that each fit a frame, at least one; the last one may take more."""
    part: list[bytes] = []
    size_bytes = FRAME_OVERHEAD
    for wire in wires:
        if part and size_bytes + len(wire) + BYTES_OVERHEAD > FRAME_BYTES_MAX:
            yield part
            part, size_bytes = [], FRAME_OVERHEAD
        part.append(wire)
        size_bytes += len(wire) + BYTES_OVERHEAD
    yield part
