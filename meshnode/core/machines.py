"""The state machines that follow the order, folded together and put away together."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from consensus.decisions import Decisions
from consensus.roll import Roll
from dag.errors import MalformedMessage, MeshError
from market.genesis import make_market_genesis
from market.state import MarketState
from meshnode.core.deadlines import find_earliest
from meshnode.core.pinned import PINNED_PIECE, PinnedState, PinnedVertices, decode_pinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consensus.committee import Committee
    from dag.authors import AuthorRegistry
    from dag.genesis import Genesis
    from dag.order import Commit
    from dag.vertex import SignedVertex

DECISIONS_PIECE: Final = "decisions"
ROLL_PIECE: Final = "roll"
MARKET_PIECE: Final = "market"


class BrokenLedger(MeshError):
    """The sums of the market do not agree: a defect of this program, so it must not go on."""

    code = "broken_ledger"


class StateMachine(Protocol):
    """What is folded over the order. Every node's copy is in the same state after a commit."""

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit: its lane-0 vertices, in order. Total: it never raises."""
        ...

    def root(self) -> bytes:
        """A digest of the whole state."""
        ...

    def snapshot(self) -> bytes:
        """The whole state, as bytes that every node agrees on."""
        ...

    def restore(self, snapshot: bytes) -> None:
        """Take up a state. Raises `MalformedMessage`, and then nothing has changed."""
        ...

    def next_deadline(self) -> int | None:
        """The commit time at which something is due, in milliseconds; None for nothing."""
        ...


class Machines:
    """Members, decisions and the market of the mesh, and whatever the application registered."""

    def __init__(
        self, genesis: Genesis, authors: AuthorRegistry, machines: Sequence[StateMachine]
    ) -> None:
        self.roll: Final = Roll(genesis)
        self.decisions: Final = Decisions(genesis, self.roll)
        self.market: Final = MarketState(make_market_genesis(genesis), authors)
        self._authors = authors
        self._registered = tuple(machines)
        self._all: tuple[StateMachine, ...] = (
            self.roll,
            self.decisions,
            self.market,
            *self._registered,
        )
        self._pinned = PinnedVertices(authors)

    @property
    def pinned(self) -> PinnedState:
        """Vertices that stay whatever their age."""
        return self._pinned.freeze()

    def set_committee(self, committee: Committee) -> None:
        """An epoch begins: whose stake weighs from now on."""
        self.roll.set_committee(seat.author for seat in committee.validators)
        self.decisions.set_committee(committee)
        self.market.set_committee({seat.author: seat.stake for seat in committee.validators})

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit. Raises `BrokenLedger`, and then nothing here may be trusted."""
        self._pinned.apply(vertices)
        gone_before = len(self.roll.gone)
        self.roll.apply(commit, vertices)
        self.decisions.apply(commit, vertices)
        self.market.withdraw(islice(self.roll.gone, gone_before, None))
        heard = [signed for signed in vertices if not self.roll.is_gone(signed.vertex.author)]
        self.market.apply(commit, heard)
        for machine in self._registered:
            machine.apply(commit, vertices)
        # No money moves without an event.
        if self.market.events and (imbalance := self.market.count_imbalance()):
            raise BrokenLedger(
                f"after commit {commit.index} there are {imbalance} uruv that were never minted",
                hint="this is a defect: nothing is put in order here any more; report it",
            )

    def find_deadline(self) -> int | None:
        """The first commit time at which a state machine has something to do."""
        return find_earliest(machine.next_deadline for machine in self._all)

    def freeze(self) -> dict[str, bytes]:
        """The state of all, as pieces of a snapshot."""
        pieces = {
            ROLL_PIECE: self.roll.snapshot(),
            DECISIONS_PIECE: self.decisions.snapshot(),
            MARKET_PIECE: self.market.snapshot(),
            PINNED_PIECE: self._pinned.snapshot(),
        }
        for number, machine in enumerate(self._registered):
            pieces[_name(number)] = machine.snapshot()
        return pieces

    def restore(self, pieces: Mapping[str, bytes]) -> None:
        """Take up the state of all.

        Raises `MalformedMessage` where pieces are missing, as where another version made them.
        """
        for number, machine in enumerate(self._registered):
            machine.restore(_get(pieces, _name(number)))
        self.roll.restore(_get(pieces, ROLL_PIECE))
        self.decisions.restore(_get(pieces, DECISIONS_PIECE))
        self.market.restore(_get(pieces, MARKET_PIECE))
        self._pinned = PinnedVertices(self._authors, decode_pinned(_get(pieces, PINNED_PIECE)))


def _name(number: int) -> str:
    return f"machine-{number:02}"


def _get(pieces: Mapping[str, bytes], name: str) -> bytes:
    piece = pieces.get(name)
    if piece is None:
        raise MalformedMessage(f"the snapshot has no piece {name!r}: another version made it")
    return piece
