"""Saying again what was acknowledged and never got a place in the order.

A node that was cut off for longer than the horizon of the order is deep finds its own vertices
below it: nobody will ever put them out. What they said is said again, by a new vertex that has the
old one as a parent. So a restart can tell what was said again already.

A guest's first profile stands on its inviter's alone, so in an old network it lies below the horizon
when it is said. It is said again as any other, and so the order comes to know its author; but with
the keys of the inviter, for not every node that follows the order knows who that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.authors import is_first_profile
from dag.introduction import prove_invitation, strip_proof
from dag.types import Kind
from meshnode.core.chain import Publication
from meshnode.core.events import Repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dag.authors import AuthorDirectory
    from dag.identity import VerifiedVertex
    from dag.vertex import SignedVertex, Vertex
    from meshnode.core.outbox import Outbox


REPEATS_MAX: Final = 4_096
"""Vertices remembered as said again."""


class Repeating:
    """Own vertices that fell below the horizon, until a later one says the same."""

    def __init__(
        self,
        outbox: Outbox,
        authors: AuthorDirectory,
        say: Callable[[int, Publication], None],
    ) -> None:
        self._outbox = outbox
        self._authors = authors
        self._say = say
        self._lost: dict[bytes, SignedVertex] = {}
        self._said: dict[bytes, None] = {}
        """Those of them that are on their way to being said again."""
        self._repeats: dict[bytes, bytes] = {}
        """Of the last ones, by which vertex each was said again."""

    @property
    def repeats(self) -> dict[bytes, bytes]:
        """By which vertex each of the last that were lost was said again."""
        return dict(self._repeats)

    def note_own(self, signed: VerifiedVertex) -> None:
        """An own vertex is stored, or restored: perhaps it repeats one that was lost."""
        vertex = signed.vertex
        for ref in vertex.parents if self._lost else ():
            lost = self._lost.get(ref.id)
            if lost is not None and _is_repeat(vertex, lost.vertex):
                del self._lost[ref.id]
                self._repeats[ref.id] = signed.id
                if len(self._repeats) > REPEATS_MAX:
                    del self._repeats[next(iter(self._repeats))]
                if self._said.pop(ref.id, False) is None:
                    self._outbox.emit(Repeated(ref.id, signed))

    def note_lost(self, lost: Iterable[SignedVertex]) -> None:
        """Own vertices got no place in the order; on a restart before what was said after that."""
        for signed in lost:
            self._lost[signed.id] = signed

    def repeat(self, now_ms: int) -> None:
        """Say again what is lost, in the order in which it was said first."""
        for signed in [*self._lost.values()] if len(self._lost) > len(self._said) else ():
            if signed.id not in self._said:
                self._said[signed.id] = None
                vertex, body = signed.vertex, signed.vertex.body
                if is_first_profile(vertex):
                    body = prove_invitation(self._authors, body)
                self._say(now_ms, Publication(None, vertex.kind, body, (signed.ref,)))


def _is_repeat(vertex: Vertex, lost: Vertex) -> bool:
    if vertex.kind == lost.kind == Kind.PROFILE:
        return strip_proof(vertex.body) == strip_proof(lost.body)
    return (vertex.kind, vertex.body) == (lost.kind, lost.body)
