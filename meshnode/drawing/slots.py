"""The leader slots in a picture: which rounds were led, and which were passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshnode.views import VertexInfo


class Slot(NamedTuple):
    """A round whose leader is decided."""

    epoch: int
    round: int
    column: int
    """Where the round's blocks begin."""
    commit: int | None
    """The commit its leader made; None where it was passed over."""

    @property
    def outcome(self) -> str:
        """What became of the leader, in a word or two."""
        return "skipped" if self.commit is None else f"commit {self.commit}"

    def to_json(self) -> dict[str, Any]:
        """This slot as JSON types."""
        return {"epoch": self.epoch, "round": self.round, "commit": self.commit}


def find_slots(vertices: Iterable[VertexInfo], columns: Mapping[str, int]) -> tuple[Slot, ...]:
    """The decided slots among these vertices, in order.

    Rounds are decided in order, so one without a leader below one that was led is passed over.
    Rounds above the last leader, and those before the first in the picture, may be either.
    """
    begins: dict[tuple[int, int], int] = {}
    led: dict[tuple[int, int], int] = {}
    for vertex in vertices:
        if vertex.epoch is None or vertex.round is None:
            continue
        slot = vertex.epoch, vertex.round
        begins[slot] = min(columns[vertex.id], begins.get(slot, columns[vertex.id]))
        if vertex.leads and vertex.commit is not None:
            led[slot] = vertex.commit
    if not led:
        return ()
    first, last = min(led), max(led)
    return tuple(
        Slot(*slot, begins[slot], led.get(slot)) for slot in sorted(begins) if first <= slot <= last
    )
