"""A DAG whose blocks say how many blocks they name, as those of validators do."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.block import BlockBody, encode_body
from dag.identity import VerifiedVertex
from dag.types import Ref
from tests.support.dag_builder import DagBuilder


class LaneDag:
    """Vertices of both lanes in the order in which they were made."""

    def __init__(self, authors: int = 3) -> None:
        self.builder = DagBuilder(authors).profiles()

    @property
    def vertices(self) -> list[VerifiedVertex]:
        """All of them, parents first."""
        return self.builder.vertices

    def note(self, author: int, parents: Sequence[Ref] | None = None) -> VerifiedVertex:
        """A lane-0 vertex."""
        return self.builder.vertex(author, parents=parents)

    def block(
        self, author: int, blocks: Sequence[Ref] = (), speech: Sequence[Ref] = ()
    ) -> VerifiedVertex:
        """A lane-1 vertex over its author's last one, over these blocks, and over that speech."""
        person = self.builder.people[author].author
        own = [s.ref for s in self.vertices if s.vertex.lane and s.vertex.author == person][-1:]
        named = tuple(dict.fromkeys((*own, *blocks)))
        body = BlockBody(0, len(self.vertices), int(bool(own)), len(named))
        return self.builder.block(author, (*named, *speech), body=encode_body(body))
