"""Admitted vertices for consensus: signed blocks over lane-0 vertices, with the index they are in."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.block import BlockBody, CommitVote, count_block_parents, encode_body
from consensus.committee import Committee, make_first_committee
from consensus.leader import LeaderSchedule, RoundRobin
from consensus.ordering import Ordering, OrderingState
from consensus.payload import PayloadOrder
from dag.identity import VerifiedVertex
from dag.index import Index
from dag.types import LANE_BLOCKS, WIRE_VERSION, Kind, Ref
from dag.vertex import Vertex
from tests.support.dag_builder import START_MS, DagBuilder


class BlockDag:
    """A network's vertices in the order of admission; blocks stand on whatever they are told."""

    def __init__(self, authors: int = 4, epoch: int = 0) -> None:
        self.builder = DagBuilder(authors).profiles()
        self.network: bytes = self.builder.network
        first = make_first_committee(self.builder.genesis)
        self.committee = Committee(epoch, first.validators)
        self.index = Index(count_block_parents)
        for signed in self.builder.vertices:
            self.index.add(signed)
        self.seqs: dict[int, int] = {}

    def ordering(
        self,
        *,
        start: OrderingState | None = None,
        schedule: LeaderSchedule | None = None,
        gc_depth: int | None = 60,
        payload: PayloadOrder | None = None,
    ) -> Ordering:
        return Ordering(
            self.network,
            self.committee,
            schedule or RoundRobin(self.committee),
            index=self.index,
            payload=payload,
            start=start,
            gc_depth=gc_depth,
        )

    def note(self, author: int, parents: Sequence[Ref] | None = None) -> VerifiedVertex:
        """A lane-0 vertex."""
        signed = self.builder.vertex(author, parents=parents)
        self.index.add(signed)
        return signed

    def block(
        self,
        author: int,
        round_: int,
        parents: Sequence[VerifiedVertex] = (),
        *,
        payload: Sequence[Ref] = (),
        previous_round: int | None = None,
        predecessor: VerifiedVertex | None = None,
        epoch: int | None = None,
        seq: int | None = None,
        count: int | None = None,
        votes: tuple[CommitVote, ...] = (),
        body: bytes | None = None,
        time_ms: int | None = None,
        kind: int = Kind.BLOCK,
        lane: int = LANE_BLOCKS,
        network: bytes | None = None,
        admit: bool = True,
    ) -> VerifiedVertex:
        """A lane-1 vertex; what is not given follows from the parents, own previous first."""
        refs = tuple(parent.ref for parent in parents)
        before = () if predecessor is None else (predecessor.ref,)
        if previous_round is None:
            own = parents and parents[0].vertex.author == self.builder.people[author].author
            previous_round = round_ - 1 if own else 0
        if body is None:
            body = encode_body(
                BlockBody(
                    self.committee.epoch if epoch is None else epoch,
                    round_,
                    previous_round,
                    len(refs) if count is None else count,
                    votes,
                )
            )
        every = (*before, *refs, *payload)
        if seq is None:
            seq = round_ - 1 if previous_round else len(before)
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self.network if network is None else network,
            author=self.builder.people[author].author,
            lane=lane,
            seq=seq,
            lamport=1 + max((ref.lamport for ref in every), default=0),
            kind=kind,
            time_ms=START_MS + 100 * round_ + author if time_ms is None else time_ms,
            parents=every,
            body=body,
        )
        signed = self.builder.sign(author, vertex)
        if admit and signed.id not in self.index:
            self.index.add(signed)
        return signed

    def row(
        self,
        round_: int,
        below: Sequence[VerifiedVertex] = (),
        authors: Sequence[int] | None = None,
        payload: dict[int, Sequence[Ref]] | None = None,
    ) -> list[VerifiedVertex]:
        """A block of each author over all of the round below."""
        made = []
        for author in range(len(self.committee)) if authors is None else authors:
            person = self.builder.people[author].author
            parents = own_first(below, person)
            heads = () if payload is None else payload.get(author, ())
            made.append(self.block(author, round_, parents, payload=heads))
        return made

    def rows(self, count: int) -> list[list[VerifiedVertex]]:
        """Full rounds from 1."""
        made: list[list[VerifiedVertex]] = []
        for round_ in range(1, count + 1):
            made.append(self.row(round_, made[-1] if made else ()))
        return made


def own_first(below: Sequence[VerifiedVertex], author: bytes) -> list[VerifiedVertex]:
    """The same vertices, those of an author in front."""
    own = [signed for signed in below if signed.vertex.author == author]
    return [*own, *(signed for signed in below if signed.vertex.author != author)]
