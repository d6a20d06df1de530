"""A committee member that signs whatever a test draws, block or not, with its own keys.

The chain of its lane goes on as the store's rules want it, so that what it says is admitted and has
to be judged as a block; only then do the draws break the rules of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from consensus.block import BlockBody, CommitVote, encode_body
from dag.canonical import encode
from dag.crypto import sign_suite
from dag.types import COUNTER_MAX, LANE_BLOCKS, WIRE_VERSION, Kind, Ref
from dag.vertex import (
    Envelope,
    SignedVertex,
    Vertex,
    compute_signed_message,
    compute_vertex_id,
    encode_vertex,
)
from tests.support.dag_builder import Person

ODD_COUNTERS = (0, 1, 2, 3, 7, 64, 1_000_000, 2**52, COUNTER_MAX, COUNTER_MAX + 1, -1)
PARENT_KINDS = ("own", "block", "speech", "unknown", "high", "made")


@dataclass(frozen=True)
class Draw:
    """What is odd about one vertex; None for what an honest validator would say."""

    epoch: int | None = None
    round: int | None = None
    previous_round: int | None = None
    parent_count: int | None = None
    parents: tuple[str, ...] = ()
    place: str = "next"
    kind: int = Kind.BLOCK
    junk: bytes | None = None
    votes: tuple[tuple[int, bytes], ...] = ()
    time_ms: int | None = None


counters = st.none() | st.sampled_from(ODD_COUNTERS)
draws = st.builds(
    Draw,
    epoch=counters,
    round=counters,
    previous_round=counters,
    parent_count=counters,
    parents=st.lists(st.sampled_from(PARENT_KINDS), max_size=8).map(tuple),
    place=st.sampled_from(("next",) * 9 + ("same", "gap", "first")),
    kind=st.sampled_from((Kind.BLOCK, Kind.BLOCK, Kind.BLOCK, Kind.NOTE, 999)),
    junk=st.none() | st.none() | st.binary(max_size=80),
    votes=st.lists(
        st.tuples(st.sampled_from(ODD_COUNTERS), st.sampled_from((b"", bytes(32), bytes(33)))),
        max_size=70,
    ).map(tuple),
    time_ms=st.none() | st.sampled_from((0, 1, COUNTER_MAX)),
)


@dataclass
class HostileMember:
    """Makes vertices of the lane of blocks of one author."""

    person: Person
    network: bytes
    now_ms: int
    blocks: list[Ref]
    """Blocks of others that exist."""
    speech: list[Ref]
    made: list[SignedVertex] = field(default_factory=list)

    def make(self, draw: Draw) -> SignedVertex:
        """The vertex that a draw stands for."""
        last = self.made[-1] if self.made else None
        seq, before = self._place(draw, last)
        refs = dict.fromkeys((*before, *map(self._find, draw.parents, range(len(draw.parents)))))
        parents = tuple(refs)
        body = BlockBody(
            self._or(draw.epoch, 0),
            self._or(draw.round, len(self.made) + 1),
            self._or(draw.previous_round, len(self.made)),
            self._or(draw.parent_count, len(parents)),
            tuple(CommitVote(index, digest) for index, digest in draw.votes),
        )
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self.network,
            author=self.person.author,
            lane=LANE_BLOCKS,
            seq=seq,
            lamport=1 + max((ref.lamport for ref in parents), default=0),
            kind=draw.kind,
            time_ms=self._or(draw.time_ms, self.now_ms),
            parents=parents,
            body=encode_body(body) if draw.junk is None else draw.junk,
        )
        signed = self._sign(vertex)
        if draw.place == "next" and not {"unknown", "high"} & set(draw.parents):
            self.made.append(signed)
        return signed

    def _place(self, draw: Draw, last: SignedVertex | None) -> tuple[int, tuple[Ref, ...]]:
        if last is None or draw.place == "first":
            return 0, ()
        if draw.place == "same" and len(self.made) > 1:
            return last.vertex.seq, (self.made[-2].ref,)
        return last.vertex.seq + (2 if draw.place == "gap" else 1), (last.ref,)

    def _find(self, kind: str, number: int) -> Ref:
        if kind == "unknown":
            return Ref(5 + number, bytes([number + 1]) * 32)
        if kind == "high":
            return Ref(2**40 + number, bytes([number + 101]) * 32)
        if kind == "speech":
            return self.speech[number % len(self.speech)]
        if kind == "own" and self.made:
            return self.made[0].ref
        if kind == "made" and self.made:
            return self.made[-1 - number % len(self.made)].ref
        return self.blocks[-1 - number % len(self.blocks)]

    @staticmethod
    def _or(drawn: int | None, usual: int) -> int:
        return usual if drawn is None else drawn

    def _sign(self, vertex: Vertex) -> SignedVertex:
        vertex_id = compute_vertex_id(vertex)
        message = compute_signed_message(vertex_id)
        signature = sign_suite("ed25519", self.person.secrets, message)
        wire = encode(Envelope(encode_vertex(vertex), signature))
        return SignedVertex(vertex_id, vertex, wire, signature)
