"""The state after a commit, as what validators vote for and newcomers begin from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from consensus.block import CommitVote
from consensus.checkpoint import (
    SNAPSHOT_VERSION,
    SnapshotHeader,
    compute_root,
    describe_committee,
    split_state,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consensus.committee import Committee
    from dag.order import Commit
    from dag.types import Horizon


class Checkpoint(msgspec.Struct, frozen=True):
    """The state after one commit, cut into parts, with the vote for it."""

    header: SnapshotHeader
    parts: tuple[bytes, ...]
    """In the order of the header."""
    vote: CommitVote


def make_checkpoint(
    network: bytes,
    commit: Commit,
    committee: Committee,
    successor: Committee | None,
    *,
    floor: Horizon,
    pieces: Mapping[str, bytes],
) -> Checkpoint:
    """Put the state after `commit` together. Every node makes the same bytes of it."""
    cut = sorted(
        (item for name, data in pieces.items() for item in split_state(name, data)),
        key=lambda item: item[0].name,
    )
    header = SnapshotHeader(
        version=SNAPSHOT_VERSION,
        network=network,
        index=commit.index,
        commit_digest=commit.digest,
        time_ms=commit.time_ms,
        epoch=committee.epoch,
        committee=describe_committee(committee),
        next_committee=None if successor is None else describe_committee(successor),
        floor=floor,
        parts=tuple(part for part, _ in cut),
    )
    vote = CommitVote(commit.index, commit.digest, compute_root(header))
    return Checkpoint(header, tuple(data for _, data in cut), vote)


def join_piece(checkpoint: Checkpoint, name: str) -> bytes:
    """One piece of a state, from its parts; empty where there is none of this name."""
    parts = zip(checkpoint.header.parts, checkpoint.parts, strict=True)
    return b"".join([data for part, data in parts if part.name.rpartition("/")[0] == name])


def join_pieces(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The pieces of a state by name, from its parts."""
    pieces: dict[str, bytes] = {}
    for part, data in zip(checkpoint.header.parts, checkpoint.parts, strict=True):
        name = part.name.rpartition("/")[0]
        pieces[name] = pieces.get(name, b"") + data
    return pieces
