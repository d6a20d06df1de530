"""The agreed order, as people read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshnode.core.events import Committed, EpochBegan, OrderHalted, OrderResumed, Repeated
from meshnode.event_views import (
    CommitteeChanged,
    OrderJoined,
    OrderStopped,
    VertexRepeated,
    VerticesOrdered,
)
from meshnode.views import ConsensusInfo, Finality, ValidatorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshnode.core.views import ConsensusView
    from meshnode.shell.commit_table import StoredCommit
    from meshnode.views import VertexInfo


def show_consensus(
    view: ConsensusView, names: Mapping[bytes, str], *, now_ms: int
) -> ConsensusInfo:
    """Where the order stands, and who makes it."""
    idle_ms = max(0, now_ms - view.commit_time_ms) if view.commit_index else None
    return ConsensusInfo(
        epoch=view.epoch,
        round=view.round,
        lag=max(0, view.round - view.decided_round),
        commit_index=view.commit_index,
        commit_digest=view.commit_digest.hex(),
        commit_time_ms=view.commit_time_ms,
        waiting=view.waiting,
        behind=view.behind,
        idle_ms=idle_ms,
        quorum=view.quorum,
        standing=view.standing,
        halted=view.halted,
        conflicts=view.conflicts,
        profile=view.profile,
        certified_commit=view.certified_commit,
        pruned_lamport=view.pruned.speech,
        validators=tuple(
            ValidatorInfo(
                author=validator.author.hex(),
                name=names.get(validator.author, ""),
                stake=validator.stake,
                last_round=validator.last_round,
                silent=validator.is_silent,
                connected=validator.is_connected,
            )
            for validator in view.validators
        ),
    )


def show_order_event(
    event: Committed | EpochBegan | OrderHalted | OrderResumed | Repeated,
) -> VerticesOrdered | CommitteeChanged | OrderStopped | OrderJoined | VertexRepeated:
    """What happened to the order, or to an own vertex in it."""
    match event:
        case Committed():
            return show_ordered(event)
        case EpochBegan():
            return CommitteeChanged(epoch=event.epoch, commit_index=event.commit_index)
        case OrderHalted():
            return OrderStopped(reason=event.reason)
        case OrderResumed():
            return OrderJoined(commit_index=event.index)
        case Repeated():
            return VertexRepeated(first=event.first.hex(), again=event.signed.id.hex())


def show_ordered(event: Committed) -> VerticesOrdered:
    """A commit as it is told."""
    commit = event.commit
    return VerticesOrdered(
        commit_index=commit.index,
        commit_digest=commit.digest.hex(),
        leader=commit.leader.hex(),
        time_ms=commit.time_ms,
        vertices=tuple(ref.id.hex() for ref in commit.vertices[: event.said]),
    )


def show_stored(commit: StoredCommit) -> VerticesOrdered:
    """A commit that was told before."""
    return VerticesOrdered(
        commit_index=commit.index,
        commit_digest=commit.digest.hex(),
        leader=commit.leader.hex(),
        time_ms=commit.time_ms,
        vertices=tuple(vertex.hex() for vertex in commit.vertices[: commit.said]),
    )


def show_finality(
    vertex: bytes,
    commit: StoredCommit | None,
    *,
    repeated_by: bytes | None = None,
    forgotten: bool = False,
) -> Finality:
    """Whether a vertex, or what repeats it, has its place in the order, and since which commit."""
    again = None if repeated_by is None else repeated_by.hex()
    if commit is None:
        return Finality(vertex=vertex.hex(), final=False, repeated_by=again, forgotten=forgotten)
    return Finality(
        vertex=vertex.hex(),
        final=True,
        commit_index=commit.index,
        commit_digest=commit.digest.hex(),
        time_ms=commit.time_ms,
        leader=commit.leader == vertex,
        repeated_by=again,
    )


def place(
    vertices: Sequence[VertexInfo], commits: Mapping[bytes, StoredCommit]
) -> list[VertexInfo]:
    """Vertices with the commits that put them out."""
    return [_place(vertex, commits.get(bytes.fromhex(vertex.id))) for vertex in vertices]


def _place(vertex: VertexInfo, commit: StoredCommit | None) -> VertexInfo:
    if commit is None:
        return vertex
    return replace(vertex, commit=commit.index, leads=commit.leader.hex() == vertex.id)
