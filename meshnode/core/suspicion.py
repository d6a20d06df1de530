"""What a peer passed on that is wrong here, and that the peer may have been unable to see.

Nobody looks at parents at or below the own horizon, and peers' horizons differ for a while. So an
honest peer may pass on what breaks a rule for a node with a lower horizon. It tells its horizon, the
floor of its newest checkpoint, on another channel perhaps than the vertex; so a peer is given a
moment to have told it before it is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dag.errors import InvalidVertex
from dag.index import NOWHERE
from dag.types import Horizon

WORD_MS: Final = 2_000
"""Within this a peer has told of a checkpoint that it had before."""
EXCUSED_MAX: Final = 256
"""So many are borne on one connection: whoever tells of a floor that is none gains little by it."""


@dataclass(slots=True, eq=False)
class Suspicion:
    """Of one peer, for as long as its connection stands."""

    floor: Horizon = NOWHERE
    """It has told that it does not look at parents at or below."""
    due_ms: int | None = None
    """When it is charged, unless it tells of a higher floor before."""
    _count: int = 0
    _worst: InvalidVertex | None = None

    @property
    def is_beyond_bearing(self) -> bool:
        """Whether there were too many to go on listening, excused or not."""
        return self._count > EXCUSED_MAX

    def add(self, now_ms: int, error: InvalidVertex) -> None:
        """It sent what breaks a rule about a parent."""
        self._count += 1
        if self._is_excused(error):
            return
        worst = self._worst
        if worst is None or _get_parent(error) > _get_parent(worst):
            self._worst = error
        if self.due_ms is None:
            self.due_ms = now_ms + WORD_MS

    def take_due(self, now_ms: int) -> InvalidVertex | None:
        """What it is to be charged with by now."""
        if self.due_ms is None or now_ms < self.due_ms:
            return None
        worst, self._worst, self.due_ms = self._worst, None, None
        return None if worst is None or self._is_excused(worst) else worst

    def _is_excused(self, error: InvalidVertex) -> bool:
        lamport, lane = _get_parent(error)
        return lamport <= self.floor.get(lane)


def _get_parent(error: InvalidVertex) -> tuple[int, int]:
    assert error.parent is not None, "only rules about parents are suspected"
    return error.parent
