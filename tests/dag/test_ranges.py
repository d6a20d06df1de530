"""Ranges: counts, fingerprints, parts and names, wherever vertices were added."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.index import Index
from dag.ranges import (
    BLOCK_REFS_MAX,
    CUT_REF_BYTES,
    END,
    FINGERPRINT_BYTES,
    LEAF_REFS_MAX,
    PART_REFS_MIN,
    PARTS_MAX,
    START,
    RangeIndex,
    cut_ref,
    make_lamport_bound,
    split_cut_refs,
)
from dag.types import COUNTER_MAX, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level


def make_refs(count: int, *, per_lamport: int = 4, seed: int = 1) -> list[Ref]:
    chance = random.Random(seed)
    refs = [Ref(1 + number // per_lamport, chance.randbytes(32)) for number in range(count)]
    return sorted(refs)


def index_of(refs) -> RangeIndex:
    index = RangeIndex()
    for ref in refs:
        index.add(ref)
    return index


def list_all(index: RangeIndex) -> list[Ref]:
    return list(index.iterate(START, END))


def test_empty_index_has_one_fingerprint_and_no_parts():
    index = RangeIndex()
    assert len(index) == 0
    assert list_all(index) == []
    assert index.split(START, END) == ()
    assert index.find(bytes(CUT_REF_BYTES)) is None
    assert index.compute_fingerprint(START, END) == index.compute_fingerprint(END, END)


@pytest.mark.parametrize("count", [1, BLOCK_REFS_MAX, BLOCK_REFS_MAX + 1, 2_000])
def test_order_of_admission_does_not_matter(count):
    refs = make_refs(count)
    shuffled = list(refs)
    random.Random(2).shuffle(shuffled)
    ascending, mixed = index_of(refs), index_of(shuffled)
    assert list_all(ascending) == list_all(mixed) == refs
    assert ascending.compute_fingerprint(START, END) == mixed.compute_fingerprint(START, END)


def test_vertex_that_is_let_go_leaves_no_trace():
    refs = make_refs(1_000)
    index = index_of(refs)
    for ref in refs[:600]:
        index.discard(ref)
        if ref.lamport % 32 == 0:
            index.compute_fingerprint(START, END)
    rest = index_of(refs[600:])
    assert list_all(index) == refs[600:]
    assert index.compute_fingerprint(START, END) == rest.compute_fingerprint(START, END)
    for ref in refs[600:]:
        index.discard(ref)
    assert len(index) == 0
    index.add(refs[0])
    assert list_all(index) == refs[:1]


def test_what_is_not_held_cannot_be_let_go():
    refs = make_refs(8)
    index = index_of(refs[:7])
    with pytest.raises(AssertionError, match="held"):
        index.discard(Ref(refs[3].lamport, bytes(32)))


refs_strategy = st.lists(
    st.builds(
        Ref, st.integers(1, 12), st.binary(min_size=1, max_size=3).map(lambda b: b.ljust(32))
    ),
    unique=True,
    max_size=60,
)
bound_strategy = st.builds(
    lambda lamport, rest, size: (make_lamport_bound(lamport) + rest)[:size],
    st.integers(0, 13),
    st.binary(max_size=2),
    st.integers(0, 10),
)


@given(refs_strategy, bound_strategy, bound_strategy)
def test_range_is_what_lies_between_its_bounds_as_bytes(refs, one, other):
    lower, upper = sorted([one, other])
    index = index_of(refs)
    inside = [
        ref for ref in sorted(refs) if lower <= ref.lamport.to_bytes(8, "big") + ref.id < upper
    ]
    assert list(index.iterate(lower, upper)) == inside
    assert index.count(lower, upper) == len(inside)
    assert index.compute_fingerprint(lower, upper) == index_of(inside).compute_fingerprint(
        START, END
    )


@given(refs_strategy, st.integers(1, 10))
def test_parts_cover_a_range_and_hold_less_than_it(refs, per_block):
    index = index_of(ref for number in range(per_block) for ref in shift(refs, number))
    bounds = (START, *index.split(START, END), END)
    counts = [index.count(*span) for span in pairwise(bounds)]
    assert list(bounds) == sorted(set(bounds))
    assert sum(counts) == len(index)
    assert len(counts) <= PARTS_MAX
    assert max(counts) <= max(PART_REFS_MIN, -(-len(index) // PARTS_MAX)) + 1


def shift(refs, number):
    return [Ref(ref.lamport + 20 * number, ref.id) for ref in refs]


def test_recent_parts_are_small():
    index = index_of(make_refs(20_000, per_lamport=7))
    bounds = (START, *index.split(START, END, recent=True), END)
    counts = [index.count(*span) for span in pairwise(bounds)]
    assert counts[-4:] == [PART_REFS_MIN] * 4
    assert len(counts) == PARTS_MAX
    assert max(counts) - min(counts[:-4]) <= 1
    few = index_of(make_refs(LEAF_REFS_MAX + 1))
    assert len(few.split(START, END, recent=True)) == 2
    assert len(few.split(START, END, parts_max=2)) == 1


def test_many_vertices_of_one_lamport_are_parted_by_their_ids():
    index = index_of(make_refs(5_000, per_lamport=5_000))
    bounds = (START, *index.split(START, END), END)
    assert len(bounds) == PARTS_MAX + 1
    assert {len(bound) for bound in bounds[1:-1]} <= {9, 10, 11}


def test_ids_that_begin_alike_cannot_be_parted_and_do_no_harm():
    alike = [Ref(1, bytes(16) + bytes([number]) * 16) for number in range(40)]
    index = index_of(alike)
    assert index.split(START, END) == (bytes(7) + b"\x01" + bytes(16),)
    assert index.find(cut_ref(alike[7])) == alike[0]


def test_vertex_is_found_by_its_cut_reference():
    refs = make_refs(3 * BLOCK_REFS_MAX)
    index = index_of(refs)
    assert [index.find(cut_ref(ref)) for ref in refs] == refs
    assert index.find(cut_ref(Ref(refs[5].lamport, bytes(32)))) is None
    assert index.find(cut_ref(Ref(COUNTER_MAX, bytes(32)))) is None
    assert split_cut_refs(b"".join(map(cut_ref, refs))) == [cut_ref(ref) for ref in refs]


def test_fingerprint_tells_stores_apart():
    refs = make_refs(400)
    index = index_of(refs)
    seen = {index.compute_fingerprint(START, END)}
    for ref in refs[::7]:
        index.discard(ref)
        seen.add(index.compute_fingerprint(START, END))
    assert len(seen) == 1 + len(refs[::7])
    assert {len(fingerprint) for fingerprint in seen} == {FINGERPRINT_BYTES}


def test_index_of_vertices_keeps_its_ranges():
    builder = DagBuilder(authors=3).profiles().layer().layer().layer()
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    assert list_all(index.ranges) == sorted(signed.ref for signed in builder.vertices)
    index.advance_horizon(level(2))
    pruned = index.prune(level(2))
    assert pruned
    assert list_all(index.ranges) == [entry.ref for entry in index.iterate()]


def test_late_vertex_counts_where_it_lies():
    refs = make_refs(5_000)
    index = index_of(refs)
    before = index.compute_fingerprint(START, END)
    recent = index.compute_fingerprint(make_lamport_bound(2), END)
    index.add(Ref(1, bytes(31) + b"\x01"))
    assert index.count(START, make_lamport_bound(2)) == 5
    assert index.compute_fingerprint(START, END) != before
    assert index.compute_fingerprint(make_lamport_bound(2), END) == recent
