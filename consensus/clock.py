"""The threshold clock: the round that blocks prove to have begun."""

from __future__ import annotations

from consensus.block import GENESIS_ROUND
from consensus.committee import Committee


class ThresholdClock:
    """Counts rounds by the blocks accepted.

    One block of a round proves a quorum of the round below, so the clock jumps to it; a quorum of
    authors of the clock's own round moves it on. After a jump the quorum is tested at once, because
    one author alone may hold it.
    """

    def __init__(self, committee: Committee, *, round_: int = GENESIS_ROUND) -> None:
        self._committee = committee
        self._round = round_
        self._authors = 0

    @property
    def round(self) -> int:
        """The round that may be built now."""
        return self._round

    def add(self, round_: int, author: int) -> bool:
        """Take note of an accepted block; answers whether the clock moved."""
        if round_ < self._round:
            return False
        before = self._round
        if round_ > self._round:
            self._round = round_
            self._authors = 0
        self._authors |= 1 << author
        if self._committee.weigh(self._authors) >= self._committee.thresholds.quorum:
            self._round += 1
            self._authors = 0
        return self._round != before
