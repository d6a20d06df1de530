"""The own chain of lane 0: vertices are built, signed in parallel, and sealed in order.

An id needs no signature, so the next vertex is built on one that is still being signed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dag.canonical import encode
from dag.heads import compute_lamport
from dag.identity import VerifiedVertex
from dag.types import LANE_SPEECH, WIRE_VERSION, Ref
from dag.vertex import Envelope, Vertex, compute_vertex_id, encode_vertex
from meshnode.core.effects import SignVertex
from meshnode.core.inputs import Outcome, Signed

if TYPE_CHECKING:
    from dag.intake import Intake
    from meshnode.core.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be said."""

    token: int | None
    """The command's; None for what the node says of itself."""
    kind: int
    body: bytes
    knowledge: tuple[Ref, ...] = ()


@dataclass(slots=True, eq=False)
class _Draft:
    """A vertex that is being signed."""

    publication: Publication
    id: bytes
    vertex: Vertex
    unsigned: bytes
    signature: bytes = b""


OnSealed = Callable[[int, Publication, VerifiedVertex], None]


class Chain:
    """Drafts on top of the last own vertex."""

    def __init__(
        self,
        network: bytes,
        author: bytes,
        intake: Intake,
        outbox: Outbox,
        *,
        get_horizon: Callable[[], int],
        on_sealed: OnSealed,
    ) -> None:
        """`get_horizon`: the lamport at or below which nothing gets a place in the order."""
        self._network = network
        self._author = author
        self._intake = intake
        self._outbox = outbox
        self._get_horizon = get_horizon
        self._on_sealed = on_sealed
        self._drafts: deque[_Draft] = deque()
        self._covered: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    def build_first(self, now_ms: int, publication: Publication, inviter: Ref | None) -> Vertex:
        """Draft the first profile, on that of who invited this node, and have it signed."""
        parents = () if inviter is None else (inviter,)
        return self._draft(now_ms, publication, parents, 0)

    def build(self, now_ms: int, publication: Publication) -> bool:
        """Draft the next vertex and have it signed; False while it would come too late to count.

        A node that has begun from a snapshot may hold nothing yet that is above the horizon.
        """
        previous, seq = self._get_tip()
        assert previous is not None, "a first profile comes first"
        parents = self._select_parents(previous, publication)
        if self.is_late(compute_lamport(parents)):
            # Who forked, or is out, may have raised the horizon by words on which nobody stands.
            parents = self._select_parents(previous, publication, on_avoided=True)
        if self.is_late(compute_lamport(parents)):
            return False
        self._draft(now_ms, publication, parents, seq)
        return True

    def is_late(self, lamport: int) -> bool:
        """Whether what lies at a lamport gets no place in the order any more."""
        return lamport <= max(self._get_horizon(), self._intake.index.horizon.speech)

    def _draft(
        self, now_ms: int, publication: Publication, parents: tuple[Ref, ...], seq: int
    ) -> Vertex:
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self._network,
            author=self._author,
            lane=LANE_SPEECH,
            seq=seq,
            lamport=compute_lamport(parents),
            kind=publication.kind,
            time_ms=now_ms,
            parents=parents,
            body=publication.body,
        )
        draft = _Draft(publication, compute_vertex_id(vertex), vertex, encode_vertex(vertex))
        self._drafts.append(draft)
        self._covered.update((ref.id, None) for ref in parents)
        self._outbox.run(SignVertex(draft.id), partial(self._on_signed, draft))
        return vertex

    def _get_tip(self) -> tuple[Ref | None, int]:
        """The vertex to stand on, and the seq to take."""
        if self._drafts:
            last = self._drafts[-1]
            return Ref(last.vertex.lamport, last.id), last.vertex.seq + 1
        entry = self._intake.index.get_last(self._author, LANE_SPEECH)
        return (None, 0) if entry is None else (entry.ref, entry.seq + 1)

    def _select_parents(
        self, previous: Ref, publication: Publication, *, on_avoided: bool = False
    ) -> tuple[Ref, ...]:
        """Own previous, knowledge, and heads that no draft below stands on already."""
        heads = self._intake.heads
        authors, index = self._intake.authors, self._intake.index
        exclude = dict(self._covered)
        if authors.avoided_count and not on_avoided:
            for ref in heads.speech_refs:
                entry = index.get(ref.id)
                if entry is not None and authors.is_avoided(entry.author):
                    exclude[ref.id] = None
        # A head at the horizon is worth nothing but its lamport, and that lifts what stands on it.
        above = max(0, index.horizon.speech - 1)
        return heads.select_parents(
            previous, knowledge=publication.knowledge, exclude=exclude, above=above
        )

    def _on_signed(self, draft: _Draft, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Signed)
        draft.signature = outcome.signature
        while self._drafts and self._drafts[0].signature:
            sealed = self._drafts.popleft()
            if not self._drafts:
                self._covered = {}
            wire = encode(Envelope(sealed.unsigned, sealed.signature))
            signed = VerifiedVertex(sealed.id, sealed.vertex, wire, sealed.signature)
            self._on_sealed(now_ms, sealed.publication, signed)

    def withdraw(self) -> list[Publication]:
        """Take back every draft: none has left this node. Answers what they were to say."""
        publications = [draft.publication for draft in self._drafts]
        self._drafts.clear()
        self._covered = {}
        return publications
