"""SQLite's write-ahead log, read without SQLite, to find damage that SQLite passes over in silence.

SQLite takes the first frame whose checksum fails for the end of the log, and forgets what follows:
right after a power cut, wrong for a checker, because a flipped byte would make vertices vanish
without a word. So the checker walks the log itself; where frames are damaged it names them, and
repairs the checksums in its own copy, so that SQLite shows what stands behind.
"""

from __future__ import annotations

import struct
from typing import Final

_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_CHECKED_BYTES: Final = 8
"""Of a frame's header, what its checksum covers: page number and size after commit."""
_MAGIC_LITTLE: Final = 0x377F0682
_MAGIC_BIG: Final = 0x377F0683
_MASK: Final = 0xFFFFFFFF

_Sums = tuple[int, int]


def mend_log(log: bytes) -> tuple[bytes, list[int]]:
    """The log with every frame's checksum made right, and the numbers of damaged frames, from 1.

    Frames of an earlier round, which SQLite has not overwritten yet, are left alone. A log whose
    header cannot be read comes back as it is, with frame 0 as damaged.
    """
    if len(log) < _HEADER_BYTES:
        return log, []
    magic, _, page_bytes, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", log[:_HEADER_BYTES])
    if magic not in (_MAGIC_LITTLE, _MAGIC_BIG) or page_bytes < 512:
        return log, [0]
    order = "<" if magic == _MAGIC_LITTLE else ">"
    mended = bytearray(log)
    stored = (sum1, sum2)
    written = stored
    damaged = []
    frame_bytes = _FRAME_HEADER_BYTES + page_bytes
    for number, start in enumerate(
        range(_HEADER_BYTES, len(log) - frame_bytes + 1, frame_bytes), 1
    ):
        head = log[start : start + _FRAME_HEADER_BYTES]
        if struct.unpack(">2I", head[8:16]) != (salt1, salt2):
            break
        content = head[:_CHECKED_BYTES] + log[start + _FRAME_HEADER_BYTES : start + frame_bytes]
        sums = struct.unpack(">2I", head[16:24])
        if _add(order, stored, content) != sums:
            damaged.append(number)
        stored = sums
        written = _add(order, written, content)
        struct.pack_into(">2I", mended, start + 16, *written)
    return bytes(mended), damaged


def _add(order: str, sums: _Sums, content: bytes) -> _Sums:
    """SQLite's checksum: two running sums over pairs of 32-bit words."""
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second
