"""Vertices stamped ahead of the local clock: held until their time, bounded, never an offence."""

from __future__ import annotations

from bisect import insort
from typing import Final

import msgspec

from dag.identity import VerifiedVertex

HELD_MAX: Final = 256
AHEAD_MAX_MS: Final = 3_600_000
"""Vertices stamped further ahead are dropped: such a clock is wrong, not early."""


class HeldVertex(msgspec.Struct, frozen=True):
    """A held vertex, who sent it, and when it is due."""

    signed: VerifiedVertex
    source: str
    until_ms: int


class Hold:
    """Held vertices by id, and the order in which they fall due."""

    def __init__(self) -> None:
        self._held: dict[bytes, HeldVertex] = {}
        self._order: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._held

    @property
    def next_deadline(self) -> int | None:
        """When the first is due, None when empty."""
        return self._order[0][0] if self._order else None

    def get(self, vertex_id: bytes) -> HeldVertex | None:
        """A held vertex."""
        return self._held.get(vertex_id)

    def add(self, held: HeldVertex) -> bool:
        """Hold a vertex; answers whether there was room."""
        if len(self._held) >= HELD_MAX:
            return False
        self._held[held.signed.id] = held
        insort(self._order, (held.until_ms, held.signed.id))
        return True

    def remove(self, vertex_id: bytes) -> HeldVertex | None:
        """Hold a vertex no longer."""
        held = self._held.pop(vertex_id, None)
        if held is not None:
            self._order.remove((held.until_ms, vertex_id))
        return held

    def make_due(self, vertex_id: bytes, now_ms: int) -> None:
        """Let a vertex fall due at once, if it is held."""
        held = self.remove(vertex_id)
        if held is not None:
            self.add(msgspec.structs.replace(held, until_ms=min(held.until_ms, now_ms)))

    def take_due(self, now_ms: int) -> HeldVertex | None:
        """Take out the first vertex that is due."""
        if not self._order or self._order[0][0] > now_ms:
            return None
        return self.remove(self._order[0][1])
