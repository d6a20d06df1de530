"""Weights of a GGUF file with fewer bits: what a provider that saves on its machine would serve.

A Q4_1 tensor is blocks of 20 bytes: two half floats (step and least value), then 32 weights of four
bits each. Weights keep their blocks, steps and places, and lose bits; everything else is copied.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Q4_1: Final = 3
BLOCK_BYTES: Final = 20
BLOCK_WEIGHTS: Final = 32
HEAD_BYTES: Final = 4
ALIGNMENT: Final = 32
_STRING, _ARRAY = 8, 9
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def write_with_fewer_bits(source: Path, target: Path, *, bits: int, every: int = 1) -> int:
    """Copy a model with weights of `bits` bits in one of `every` blocks; answers the bytes read."""
    data = bytearray(source.read_bytes())
    table = _make_table(bits)
    for start, count in _find_q4_1(bytes(data)):
        end = start + count * BLOCK_BYTES
        for place in range(HEAD_BYTES, BLOCK_BYTES):
            where = slice(start + place, end, BLOCK_BYTES * every)
            data[where] = data[where].translate(table)
    target.write_bytes(data)
    return len(data)


def _make_table(bits: int) -> bytes:
    """For each byte, which holds two weights, the byte of the nearest weights there still are."""
    top = (1 << bits) - 1
    nearest = [round(round(weight * top / 15) * 15 / top) for weight in range(16)]
    return bytes(nearest[byte >> 4] << 4 | nearest[byte & 15] for byte in range(256))


def _find_q4_1(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the Q4_1 tensors begin, and how many blocks they have."""
    tensors, values = struct.unpack_from("<QQ", data, 8)
    place = 24
    for _ in range(values):
        place = _skip_value(data, _skip_string(data, place))
    found: list[tuple[int, int]] = []
    for _ in range(tensors):
        place = _skip_string(data, place)
        (dimensions,) = struct.unpack_from("<I", data, place)
        weights = 1
        for length in struct.unpack_from(f"<{dimensions}Q", data, place + 4):
            weights *= length
        place += 4 + 8 * dimensions
        kind, offset = struct.unpack_from("<IQ", data, place)
        place += 12
        if kind == Q4_1:
            found.append((offset, weights // BLOCK_WEIGHTS))
    base = -(-place // ALIGNMENT) * ALIGNMENT
    for offset, blocks in found:
        yield base + offset, blocks


def _skip_string(data: bytes, place: int) -> int:
    (length,) = struct.unpack_from("<Q", data, place)
    return place + 8 + int(length)


def _skip_value(data: bytes, place: int) -> int:
    (kind,) = struct.unpack_from("<I", data, place)
    return _skip(data, kind, place + 4)


def _skip(data: bytes, kind: int, place: int) -> int:
    if kind == _STRING:
        return _skip_string(data, place)
    if kind != _ARRAY:
        return place + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", data, place)
    place += 12
    for _ in range(count):
        place = _skip(data, inner, place)
    return place
