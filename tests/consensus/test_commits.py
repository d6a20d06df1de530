"""Commits are chained, and their time is a median that never runs back."""

from __future__ import annotations

import msgspec
import pytest

from consensus.commits import CommitHead, append_commit, compute_median_ms, get_head
from dag.order import GENESIS_COMMIT_DIGEST, compute_commit_digest
from dag.types import Ref
from tests.support.lattice import make_block, make_committee, make_store

REFS = (Ref(1, b"a" * 32),)


def test_commits_form_a_chain():
    first = append_commit(CommitHead(), b"l" * 32, REFS, 50)
    second = append_commit(get_head(first), b"m" * 32, (), 40)
    assert (first.index, first.previous_digest, first.time_ms) == (1, GENESIS_COMMIT_DIGEST, 50)
    assert (second.index, second.previous_digest, second.time_ms) == (2, first.digest, 50)
    assert second.digest == compute_commit_digest(first.digest, 2, b"m" * 32, (), 50)


@pytest.mark.parametrize(
    ("stakes", "times", "median"),
    [
        ([1, 1, 1, 1], [10, 20, 30, 1_000_000], 20),
        ([1, 1, 1, 1], [0, 20, 30], 20),
        ([5, 1, 1, 1], [99, 1, 2, 3], 99),
        ([1], [7], 7),
        ([1, 1, 1], [], 0),
    ],
)
def test_median_is_by_stake(stakes, times, median):
    parents = [make_block(author, 1, time_ms=time_ms) for author, time_ms in enumerate(times)]
    store = make_store(make_committee(stakes), parents)
    assert compute_median_ms(store, make_block(0, 2, parents)) == median


def test_median_leaves_out_older_parents():
    old = make_block(3, 1, time_ms=1)
    parents = [make_block(author, 2, time_ms=100 + author) for author in range(3)]
    store = make_store(make_committee(4), [old, *parents])
    assert compute_median_ms(store, make_block(0, 3, [*parents, old])) == 101
    assert compute_median_ms(store, make_block(0, 3, [make_block(1, 2, variant="gone")])) == 0


def test_median_leaves_out_references_with_a_false_lamport():
    parents = [make_block(author, 2, time_ms=100 + author) for author in range(3)]
    false = tuple(Ref(ref.lamport + 1, ref.id) for ref in (parents[0].ref, parents[1].ref))
    block = msgspec.structs.replace(make_block(0, 3), parents=(*false, parents[2].ref))
    assert compute_median_ms(make_store(make_committee(4), parents), block) == 102
