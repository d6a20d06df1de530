"""Steps that tests of intake share: offer, fill a store, make the next vertex of an author."""

from __future__ import annotations

from typing import Any

import msgspec

from dag.identity import VerifiedVertex
from dag.intake import Intake
from dag.outcomes import Admitted, Outcome
from dag.quarantine import QuarantineLimits
from dag.types import LANE_SPEECH, Kind
from dag.vertex import Vertex
from tests.support.dag_builder import START_MS, DagBuilder

NOW = START_MS + 10_000


def change(vertex: Any, **fields: Any) -> Any:
    """The same record with other fields."""
    return msgspec.structs.replace(vertex, **fields)


def offer(
    intake: Intake, *vertices: VerifiedVertex, source: str = "peer", now_ms: int = NOW
) -> list[Outcome]:
    """Offer vertices in turn."""
    return [intake.offer(now_ms, source, signed) for signed in vertices]


def admitted(*vertices: VerifiedVertex) -> Admitted:
    """The outcome of exactly these entering, no fork found."""
    return Admitted(vertices)


def fill(builder: DagBuilder, limits: QuarantineLimits | None = None) -> Intake:
    """A store that was offered everything built so far."""
    intake = Intake(builder.genesis, limits)
    offer(intake, *builder.vertices)
    return intake


def build_child(builder: DagBuilder, author: int, parent: VerifiedVertex) -> Vertex:
    """The next vertex of an author over one parent; not added."""
    own = next(
        signed
        for signed in reversed(builder.vertices)
        if signed.vertex.author == builder.people[author].author
        and signed.vertex.lane == LANE_SPEECH
    )
    return Vertex(
        version=1,
        network=builder.network,
        author=own.vertex.author,
        lane=LANE_SPEECH,
        seq=own.vertex.seq + 1,
        lamport=1 + max(own.vertex.lamport, parent.vertex.lamport),
        kind=Kind.NOTE,
        time_ms=START_MS,
        parents=(own.ref, parent.ref),
        body=b"child",
    )
