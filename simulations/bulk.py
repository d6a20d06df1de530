"""Stored vertices as frames, packed as the real shell packs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from meshnode.core.admission import FRAME_BYTES_MAX
from meshnode.core.messages import (
    SNAPSHOT_ANSWER_BYTES,
    SNAPSHOT_DATA_BYTES,
    Items,
    Push,
    Snapshot,
)

if TYPE_CHECKING:
    from meshnode.core.effects import SendSnapshot, SendStored

CHANNEL_BULK: Final = 1
_FRAME_OVERHEAD_BYTES: Final = 64
_ITEM_OVERHEAD_BYTES: Final = 5
_ID_BYTES: Final = 34


def pack_stored(
    effect: SendStored, read: Callable[[bytes], bytes | None]
) -> Iterator[Push | Items]:
    """The messages that carry what a `SendStored` names, each within one frame."""
    found = [(vertex_id, read(vertex_id)) for vertex_id in effect.ids]
    missing = (*effect.missing, *(vertex_id for vertex_id, wire in found if wire is None))
    parts: list[list[bytes]] = [[]]
    size_bytes = _FRAME_OVERHEAD_BYTES
    for _, wire in found:
        if wire is None:
            continue
        if parts[-1] and size_bytes + len(wire) + _ITEM_OVERHEAD_BYTES > FRAME_BYTES_MAX:
            parts.append([])
            size_bytes = _FRAME_OVERHEAD_BYTES
        parts[-1].append(wire)
        size_bytes += len(wire) + _ITEM_OVERHEAD_BYTES
    if effect.request == 0:
        yield from (Push(tuple(part)) for part in parts if part)
        return
    if size_bytes + _ID_BYTES * len(missing) > FRAME_BYTES_MAX:
        parts.append([])
    for part in parts[:-1]:
        yield Items(effect.request, tuple(part), (), 0, last=False)
    pruned_commit = effect.pruned_commit if missing else 0
    yield Items(effect.request, tuple(parts[-1]), missing, pruned_commit, last=True)


def cut_section(effect: SendSnapshot, section: bytes) -> Iterator[Snapshot]:
    """The messages that carry a piece of a snapshot; one without data where it is not held."""
    data = section[effect.offset : effect.offset + SNAPSHOT_ANSWER_BYTES]
    for start in range(0, len(data) or 1, SNAPSHOT_DATA_BYTES):
        chunk = data[start : start + SNAPSHOT_DATA_BYTES]
        last = start + SNAPSHOT_DATA_BYTES >= len(data)
        yield Snapshot(effect.request, len(section), effect.offset + start, chunk, last)
