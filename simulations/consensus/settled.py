"""I1, I4, I7: what is decided stays decided, for all alike, before it is handed out too.

Decisions behind the end of the sequence are compared as soon as a validator takes them, with its own
of before and with everybody's. Where leaders are chosen anew they are taken afresh, so decisions
are compared among those who have seen as many such choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.decision import Status
from simulations.errors import CheckFailed

if TYPE_CHECKING:
    from consensus.decision import Decision, Slot
    from simulations.consensus.validator import Validator

PENDING_MAX: Final = 2_000
"""Slots behind a sequence: no run here lasts for more rounds."""


class Settled:
    """Slots that some validator has decided and not yet handed out."""

    def __init__(self, window: int) -> None:
        """`window`: commits between two choices of leaders, 0 where they are never chosen anew."""
        self._window = window
        self._known: dict[tuple[int, Slot], tuple[Status, bytes]] = {}
        self._of: dict[tuple[int, int, int], dict[Slot, None]] = {}
        """By node, life and choice of leaders: what it has decided ahead of its sequence."""

    def check(self, one: Validator, height: int) -> None:
        """Compare what a validator with so many commits has decided."""
        pending = one.ordering.list_pending()
        if len(pending) > PENDING_MAX:
            raise CheckFailed("I13 bounded", f"{len(pending)} slots are undecided")
        era = height // self._window if self._window else 0
        decided = {entry.slot: entry for entry in pending if entry.status != Status.UNDECIDED}
        key = (one.context.index, one.life, era)
        for slot in self._of.get(key, ()):
            if slot >= one.ordering.cursor and slot not in decided:
                raise CheckFailed("I4 stays", f"{tuple(slot)} was decided and is open again")
        self._of[key] = dict.fromkeys(decided)
        for decision in decided.values():
            self._compare(era, decision)

    def _compare(self, era: int, decision: Decision) -> None:
        found = (decision.status, b"" if decision.block is None else decision.block.id)
        if self._known.setdefault((era, decision.slot), found) != found:
            raise CheckFailed("I4 stays", f"{tuple(decision.slot)} is decided in two ways ahead")
