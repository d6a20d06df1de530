"""Nodes that fold what everybody folds, each in its own way."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from dag.errors import MalformedMessage, MessageTooLarge
from dag.order import Commit
from dag.vertex import SignedVertex
from market.state import MarketState
from simulations.economy.exchange import Exchange
from simulations.errors import CheckFailed

LAG_MAX: Final = 12
"""Commits by which a copy falls behind at most."""

Folded = tuple[Commit, Sequence[SignedVertex], Mapping[bytes, int]]
"""A commit, its vertices, and the committee under which they count."""


class Copy:
    """One node's market."""

    def __init__(self, exchange: Exchange, stream: random.Random) -> None:
        self._exchange: Final = exchange
        self._stream: Final = stream
        self._log: list[Folded] = []
        self._missing: list[Folded] = []
        self._lags = 0
        self.state = exchange.make_state()
        self.has_folded = False
        """Whether the state is the one that folded the last commit, and so knows its events."""

    @property
    def is_level(self) -> bool:
        """Whether it has folded everything."""
        return not self._missing

    def fold(self, step: Folded) -> None:
        """Take one commit more, now or once it no longer lags."""
        self._log.append(step)
        self._missing.append(step)
        if self._lags:
            self._lags -= 1
            return
        self.catch_up()

    def catch_up(self) -> None:
        """Fold all that is missing."""
        self._lags = 0
        for step in self._missing:
            self._apply(self.state, step)
        self._missing.clear()

    # --- what happens to it ---------------------------------------------------------------------

    def lag(self) -> None:
        """Fall behind from now on."""
        self._lags = self._stream.randint(1, LAG_MAX)

    def replay(self) -> None:
        """Throw everything away, and fold all commits from the first one on."""
        self._missing = list(self._log)
        self.state = self._exchange.make_state()
        self.catch_up()

    def put_away(self) -> None:
        """Store the state, and take it up again in another process."""
        stored = self.state.snapshot()
        self.state = self._take_up(stored)
        if self.state.snapshot() != stored:
            raise CheckFailed("P11 snapshot", "a state that was taken up again is another one")

    def join(self, other: Copy) -> None:
        """Throw everything away, and begin from the snapshot of a copy that has it all."""
        self.state = self._take_up(other.state.snapshot())
        self._missing.clear()
        self._lags = 0

    def refuse_torn(self) -> None:
        """Be handed broken snapshots, none of which may be taken or leave a trace."""
        stored, root = self.state.snapshot(), self.state.root()
        cut = self._stream.randrange(len(stored))
        for broken in (stored[:cut], stored + b"\0", self._stream.randbytes(64)):
            try:
                self.state.restore(broken)
            except (MalformedMessage, MessageTooLarge):
                continue
            raise CheckFailed("P11 snapshot", f"{len(broken)} broken bytes were taken")
        if self.state.root() != root:
            raise CheckFailed("P11 snapshot", "a snapshot that was refused left a trace")

    # --- inside ---------------------------------------------------------------------------------

    def _take_up(self, stored: bytes) -> MarketState:
        state = self._exchange.make_state()
        state.restore(stored)
        if self._log:
            state.set_committee(self._log[-1][2])
        self.has_folded = False
        return state

    def _apply(self, state: MarketState, step: Folded) -> None:
        commit, vertices, weights = step
        shuffled = list(vertices)
        self._stream.shuffle(shuffled)
        state.set_committee(weights)
        state.apply(commit, shuffled)
        self.has_folded = True
