"""What a block names: everything that waits, oldest first, within the bounds of a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from consensus.block import PAYLOAD_PARENTS_MAX
from consensus.coverage import COVERED_BYTES_MAX, COVERED_COUNT_MAX
from dag.index import Index
from dag.types import Ref
from meshnode.core import payload_choice
from tests.support.dag_builder import DagBuilder


def choose_payload(index: Index, waiting: Sequence[Ref], parents: Iterable[Ref]) -> tuple[Ref, ...]:
    """For a block that newly covers all that its parents do not."""
    exclude = [ref.id for ref in parents]
    covered = index.collect_ancestors([ref.id for ref in waiting], exclude=exclude)
    return payload_choice.choose_payload(index, waiting, covered)


class FakeSigned:
    """What the index reads of a vertex."""

    def __init__(self, author: int, seq: int, parents: tuple[Ref, ...], size_bytes: int) -> None:
        self.vertex = self
        self.id = b"%02d" % author + seq.to_bytes(30, "big")
        self.lamport = 1 + max((ref.lamport for ref in parents), default=0)
        self.author = b"%02d" % author
        self.lane = 0
        self.seq = seq
        self.kind = 3
        self.parents = parents
        self.wire = bytes(size_bytes)


def make_chains(authors: int, length: int, size_bytes: int = 10) -> tuple[Index, list[Ref]]:
    index = Index()
    refs = []
    for author in range(authors):
        last: tuple[Ref, ...] = ()
        for seq in range(length):
            fake: Any = FakeSigned(author, seq, last, size_bytes)
            entry = index.add(fake)
            last = (entry.ref,)
            refs.append(entry.ref)
    return index, refs


def test_heads_over_all_that_waits_are_named():
    builder = DagBuilder(4).profiles().layer()
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    waiting = [signed.ref for signed in builder.vertices]
    assert list(choose_payload(index, waiting, ())) == builder.speech_heads


def test_what_parent_blocks_have_seen_is_left_out():
    builder = DagBuilder(2).profiles()
    block = builder.block(0, builder.speech_heads)
    note = builder.vertex(1)
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    waiting = [signed.ref for signed in builder.vertices if signed.vertex.lane == 0]
    assert choose_payload(index, waiting, [block.ref]) == (note.ref,)
    assert choose_payload(index, [], [block.ref]) == ()


def test_no_more_heads_are_named_than_a_block_has_room_for():
    index, refs = make_chains(PAYLOAD_PARENTS_MAX + 6, 1)
    chosen = choose_payload(index, refs, ())
    assert chosen == tuple(sorted(refs)[:PAYLOAD_PARENTS_MAX])


@pytest.mark.parametrize(
    ("size_bytes", "count"), [(10, COVERED_COUNT_MAX), (4_096, COVERED_BYTES_MAX // 4_096)]
)
def test_no_more_is_covered_than_a_block_may_cover(size_bytes, count):
    index, refs = make_chains(2, 600, size_bytes)
    chosen = choose_payload(index, refs, ())
    covered = index.collect_ancestors(ref.id for ref in chosen)
    assert len(covered) == count
    left = choose_payload(index, refs, chosen)
    assert len(index.collect_ancestors(ref.id for ref in left)) == min(2 * count, len(refs))


def test_what_waits_under_the_parents_is_named_again_and_costs_no_room():
    builder = DagBuilder(2).profiles()
    old = builder.vertex(0)
    block = builder.block(0, builder.speech_heads)
    new = builder.vertex(1)
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    assert choose_payload(index, [old.ref], [block.ref]) == (old.ref,)
    # Whoever names the child has named the parent.
    assert choose_payload(index, [old.ref, new.ref], [block.ref]) == (new.ref,)


def test_what_was_pruned_is_passed_over():
    index, refs = make_chains(1, 2)
    gone = Ref(1, bytes(32))
    assert choose_payload(index, [gone, *refs], ()) == (refs[-1],)
