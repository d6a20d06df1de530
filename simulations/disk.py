"""A simulated disk: a log of transactions, of which only what was synced is sure to survive.

A crash keeps the synced part, any number of the bytes written after it, and so perhaps half of a
record. Recovery reads records while their checksums hold, as a journal does: a transaction is
there completely or not at all. What many hosts hold alike from the start stands before the log, and
is in memory once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from dag.index import NOWHERE
from dag.vertex import decode_signed
from meshnode.core.effects import (
    ForgetVertices,
    Record,
    StoreSnapshot,
    StoreValue,
    StoreVertex,
)
from meshnode.core.recovered import Recovered, read_header

if TYPE_CHECKING:
    import random

    from dag.types import Horizon
    from dag.vertex import SignedVertex
    from meshnode.core.recovered import StoredSnapshot

HEADER: Final = struct.Struct("<II")
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[Record, ...])


class Past:
    """Vertices, parents before children, that any number of journals begin with; never changed."""

    __slots__ = ("vertices", "wires")

    def __init__(self, vertices: Iterable[SignedVertex] = ()) -> None:
        self.vertices: Final = tuple(vertices)
        self.wires: Final = {signed.id: signed.wire for signed in self.vertices}


NO_PAST: Final = Past()


class Disk:
    """The journal of one host, as bytes."""

    def __init__(self, past: Past = NO_PAST) -> None:
        """Begin with a past, which no crash takes away."""
        self.syncs = 0
        self.torn = 0
        """Crashes that left half of a transaction behind."""
        self._past = past
        self._log = bytearray()
        self._synced_bytes = 0
        self._wires: dict[bytes, bytes] = {}
        self._values: dict[str, bytes] = {}
        self._snapshots: dict[int, StoredSnapshot] = {}
        self._forgotten: dict[bytes, None] = {}
        """Of the past, which itself never changes."""
        self._gone: dict[bytes, None] = {}
        """All that was deleted on purpose and has not come again."""

    @property
    def size_bytes(self) -> int:
        """Everything written."""
        return len(self._log)

    @property
    def vertex_count(self) -> int:
        """Vertices held."""
        return len(self._past.wires) - len(self._forgotten) + len(self._wires)

    @property
    def unsynced_bytes(self) -> int:
        """Written, and lost or torn by a crash now."""
        return len(self._log) - self._synced_bytes

    @property
    def horizon(self) -> Horizon:
        """The floor of the newest snapshot, by lamport; 0 without one."""
        newest = self._snapshots.get(max(self._snapshots, default=0))
        return NOWHERE if newest is None else read_header(newest).floor

    def has_forgotten(self, vertex_id: bytes) -> bool:
        """Whether a vertex was deleted on purpose."""
        return vertex_id in self._gone

    def append(self, records: Sequence[Record]) -> None:
        """Write a transaction; `sync` makes it durable."""
        body = _encoder.encode(tuple(records))
        self._log += HEADER.pack(len(body), zlib.crc32(body)) + body
        self._index(records)

    def sync(self) -> None:
        """Make everything written durable."""
        self._synced_bytes = len(self._log)
        self.syncs += 1

    def read(self, vertex_id: bytes) -> bytes | None:
        """The signed bytes of a stored vertex."""
        if vertex_id in self._forgotten:
            return None
        return self._wires.get(vertex_id) or self._past.wires.get(vertex_id)

    def read_section(self, index: int, section: int) -> bytes:
        """A section of a stored snapshot, empty if it is not held."""
        snapshot = self._snapshots.get(index)
        sections = () if snapshot is None else (snapshot.chain, *snapshot.parts)
        return sections[section] if section < len(sections) else b""

    def newest_wires(self) -> Iterator[bytes]:
        """Signed vertices, the last written first."""
        return chain(reversed(self._wires.values()), reversed(self._past.wires.values()))

    def read_value(self, key: str) -> bytes:
        """A stored value, empty if there is none."""
        return self._values.get(key, b"")

    def crash(self, stream: random.Random) -> None:
        """Lose power: what was not synced survives up to a random byte."""
        kept = self._synced_bytes + stream.randint(0, self.unsynced_bytes)
        del self._log[kept:]
        whole = self._find_end()
        self.torn += whole < kept
        del self._log[whole:]
        self._synced_bytes = whole

    def take_back(self, percent: int) -> None:
        """Become an old copy of itself, with the first transactions only."""
        bodies = self._bodies()
        kept = bodies[: len(bodies) * percent // 100]
        del self._log[sum(HEADER.size + len(body) for body in kept) :]
        self._synced_bytes = len(self._log)

    def recover(self) -> Recovered:
        """Read everything back, as after a start."""
        self._wires.clear()
        self._values.clear()
        self._snapshots.clear()
        self._forgotten.clear()
        self._gone.clear()
        for records in self._transactions():
            self._index(records)
        written = tuple(decode_signed(wire) for wire in self._wires.values())
        kept = self._past.vertices
        if self._forgotten:
            kept = tuple(signed for signed in kept if signed.id not in self._forgotten)
        return Recovered(
            vertices=kept + written,
            values={key: value for key, value in self._values.items() if value},
            snapshots=tuple(self._snapshots[index] for index in sorted(self._snapshots)),
        )

    def stored_ids(self) -> tuple[bytes, ...]:
        """Ids of the vertices in the journal, in the order written."""
        written: dict[bytes, None] = dict.fromkeys(self._past.wires)
        for records in self._transactions():
            for record in records:
                if isinstance(record, StoreVertex):
                    written[record.id] = None
                elif isinstance(record, ForgetVertices):
                    for vertex_id in record.ids:
                        written.pop(vertex_id, None)
        return tuple(written)

    def _index(self, records: Sequence[Record]) -> None:
        for record in records:
            match record:
                case StoreVertex():
                    self._gone.pop(record.id, None)
                    if record.id not in self._past.wires:
                        self._wires[record.id] = record.wire
                    self._forgotten.pop(record.id, None)
                case StoreValue():
                    self._values[record.key] = record.value
                case ForgetVertices():
                    for vertex_id in record.ids:
                        self._forget(vertex_id)
                case StoreSnapshot():
                    self._snapshots[record.snapshot.index] = record.snapshot
                    for index in sorted(self._snapshots)[: -record.kept]:
                        del self._snapshots[index]
                case _:
                    assert_never(record)

    def _forget(self, vertex_id: bytes) -> None:
        self._gone[vertex_id] = None
        self._wires.pop(vertex_id, None)
        if vertex_id in self._past.wires:
            self._forgotten[vertex_id] = None

    def _transactions(self) -> list[tuple[Record, ...]]:
        return [_decoder.decode(body) for body in self._bodies()]

    def _bodies(self) -> list[bytes]:
        found = []
        position = 0
        while (body := self._read_at(position)) is not None:
            found.append(body)
            position += HEADER.size + len(body)
        return found

    def _find_end(self) -> int:
        position = self._synced_bytes
        while (body := self._read_at(position)) is not None:
            position += HEADER.size + len(body)
        return position

    def _read_at(self, position: int) -> bytes | None:
        if position + HEADER.size > len(self._log):
            return None
        size, checksum = HEADER.unpack_from(self._log, position)
        start = position + HEADER.size
        body = bytes(self._log[start : start + size])
        return body if len(body) == size and zlib.crc32(body) == checksum else None
