"""The state machines that follow the order, folded together and put away together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from consensus.decisions import Decisions
from dag.errors import MalformedMessage
from meshnode.core.deadlines import find_earliest
from meshnode.core.pinned import PINNED_PIECE, PinnedState, PinnedVertices, decode_pinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dag.authors import AuthorRegistry
    from dag.genesis import Genesis
    from dag.order import Commit
    from dag.vertex import SignedVertex

DECISIONS_PIECE: Final = "decisions"


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
    """The mesh's own decisions, and whatever the application registered."""

    def __init__(
        self, genesis: Genesis, authors: AuthorRegistry, machines: Sequence[StateMachine]
    ) -> None:
        self.decisions: Final = Decisions(genesis)
        self._authors = authors
        self._registered = tuple(machines)
        self._all: tuple[StateMachine, ...] = (self.decisions, *self._registered)
        self._pinned = PinnedVertices(authors)

    @property
    def pinned(self) -> PinnedState:
        """Vertices that stay whatever their age."""
        return self._pinned.freeze()

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit."""
        self._pinned.apply(vertices)
        for machine in self._all:
            machine.apply(commit, vertices)

    def find_deadline(self) -> int | None:
        """The first commit time at which a state machine has something to do."""
        return find_earliest(machine.next_deadline for machine in self._all)

    def freeze(self) -> dict[str, bytes]:
        """The state of all, as pieces of a snapshot."""
        pieces = {
            DECISIONS_PIECE: self.decisions.snapshot(),
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
        self.decisions.restore(_get(pieces, DECISIONS_PIECE))
        self._pinned = PinnedVertices(self._authors, decode_pinned(_get(pieces, PINNED_PIECE)))


def _name(number: int) -> str:
    return f"machine-{number:02}"


def _get(pieces: Mapping[str, bytes], name: str) -> bytes:
    piece = pieces.get(name)
    if piece is None:
        raise MalformedMessage(f"the snapshot has no piece {name!r}: another version made it")
    return piece
