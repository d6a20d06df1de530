"""The chain of commits: an index, a digest over all before, and a time that is nobody's own."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from consensus.block import Block
from consensus.block_store import BlockStore
from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from dag.types import Ref


class CommitHead(msgspec.Struct, frozen=True, array_like=True):
    """The last commit, as far as the next depends on it."""

    index: int = 0
    digest: bytes = GENESIS_COMMIT_DIGEST
    time_ms: int = 0


def append_commit(
    head: CommitHead, leader: bytes, vertices: tuple[Ref, ...], median_ms: int
) -> Commit:
    """Write the commit after `head`. Time never runs backwards."""
    index, time_ms = head.index + 1, max(head.time_ms, median_ms)
    digest = compute_commit_digest(head.digest, index, leader, vertices, time_ms)
    return Commit(index, digest, head.digest, leader, vertices, time_ms)


def get_head(commit: Commit) -> CommitHead:
    """What the commit after this one starts from."""
    return CommitHead(commit.index, commit.digest, commit.time_ms)


def compute_median_ms(store: BlockStore, block: Block) -> int:
    """The stake median of the times of a block's parents of the round below; 0 without any."""
    found = (store.find(ref) for ref in block.parents)
    return find_median_ms(store, block.round, (parent for parent in found if parent is not None))


def find_median_ms(store: BlockStore, round_: int, parents: Iterable[Block]) -> int:
    """The stake median of the times of those parents that are of the round below `round_`.

    Older parents are left out: they are late by their nature, and may be forgotten here and held
    there. At most a third of a quorum lies, so a median of a quorum lies among honest clocks.
    """
    times = [
        (parent.time_ms, store.committee.get_stake(parent.author))
        for parent in parents
        if parent.round == round_ - 1
    ]
    times.sort()
    left = sum(stake for _, stake in times)
    median_ms, passed = 0, 0
    for time_ms, stake in times:
        if 2 * passed < left:
            median_ms = time_ms
        passed += stake
    return median_ms
