"""Stored vertices as frames, packed as the real shell packs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from meshnode.core.admission import FRAME_BYTES_MAX
from meshnode.core.messages import Items, Push

if TYPE_CHECKING:
    from meshnode.core.effects import SendStored

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
    yield Items(effect.request, tuple(parts[-1]), missing, 0, last=True)
