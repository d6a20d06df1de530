"""The index: lookups, order, ancestors, horizon and pruning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.index import Index
from dag.types import LANE_BLOCKS, LANE_SPEECH, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level


def build(layers=3, authors=3):
    builder = DagBuilder(authors).profiles()
    for _ in range(layers):
        builder.layer()
    return builder


def fill(builder):
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    return index


def ancestors_by_definition(builder, ids):
    by_id = {signed.id: signed for signed in builder.vertices}
    found, stack = {}, list(ids)
    while stack:
        vertex_id = stack.pop()
        if vertex_id in by_id and vertex_id not in found:
            found[vertex_id] = by_id[vertex_id].ref
            stack.extend(ref.id for ref in by_id[vertex_id].vertex.parents)
    return found


def test_entries_are_found_by_id_slot_and_chain():
    builder = build()
    index = fill(builder)
    signed = builder.vertices[-1]
    entry = index.get(signed.id)
    assert (entry.ref, entry.kind, entry.position) == (signed.ref, 3, len(index) - 1)
    assert entry.size_bytes == len(signed.wire)
    assert signed.id in index
    assert index.get(bytes(32)) is None
    assert index.get_slot(*entry.slot) == (signed.id,)
    assert index.get_slot(signed.vertex.author, LANE_SPEECH, 99) == ()
    assert index.get_last(signed.vertex.author, LANE_SPEECH) is entry
    assert index.get_last(signed.vertex.author, LANE_BLOCKS) is None
    assert index.lamport_max == signed.vertex.lamport
    assert Index().lamport_max == 0


def test_children_are_counted_by_lane():
    builder = build(layers=1, authors=2)
    builder.block(0, builder.heads)
    index = fill(builder)
    profile, note = index.get(builder.vertices[0].id), index.get(builder.vertices[2].id)
    assert (profile.children, profile.speech_children) == (2, 2)
    assert (note.children, note.speech_children) == (1, 0)
    assert not profile.is_head
    assert note.is_head


def test_fork_is_kept_beside_the_first():
    builder = build(layers=1).fork(1)
    index = fill(builder)
    first, twin = builder.last(1), builder.vertices[-1]
    slot = (first.vertex.author, LANE_SPEECH, 1)
    assert index.get_slot(*slot) == (first.id, twin.id)
    assert index.is_slot_full(*slot)
    assert not index.is_slot_full(first.vertex.author, LANE_SPEECH, 0)
    assert index.get(twin.id).twin == first.ref
    assert index.get(first.id).twin is None
    assert index.get_last(first.vertex.author, LANE_SPEECH).ref == first.ref


def test_iteration_is_topological_from_any_lamport():
    builder = build(layers=4)
    index = fill(builder)
    refs = [entry.ref for entry in index.iterate()]
    assert refs == sorted(signed.ref for signed in builder.vertices)
    assert [entry.ref for entry in index.iterate(3)] == [ref for ref in refs if ref.lamport >= 3]


def test_adding_twice_or_without_parents_is_a_programmer_error():
    builder = build(layers=1)
    index = fill(builder)
    with pytest.raises(AssertionError):
        index.add(builder.vertices[0])
    with pytest.raises(AssertionError):
        Index().add(builder.vertices[-1])


@given(st.data())
def test_ancestors_without_ancestors_match_the_definition(data):
    builder = build(layers=data.draw(st.integers(1, 4)), authors=data.draw(st.integers(1, 4)))
    for _ in range(data.draw(st.integers(0, 6))):
        author = data.draw(st.integers(0, len(builder.people) - 1))
        refs = [signed.ref for signed in builder.vertices]
        builder.vertex(author, parents=data.draw(st.sets(st.sampled_from(refs), max_size=3)))
    index = fill(builder)
    ids = [signed.id for signed in builder.vertices]
    some = st.lists(st.sampled_from([*ids, b"unknown" + bytes(25)]), max_size=4)
    mine, theirs = data.draw(some), data.draw(some)
    got = index.collect_ancestors(mine, exclude=theirs)
    excluded = ancestors_by_definition(builder, theirs)
    expected = {
        ref for key, ref in ancestors_by_definition(builder, mine).items() if key not in excluded
    }
    assert list(got) == sorted(expected)
    assert index.collect_ancestors(mine, exclude=theirs, count_max=2) == got[:2]


def test_references_below_the_horizon_count_as_present():
    builder = build(layers=3)
    old, new = builder.vertices[0], builder.vertices[-1]
    index = Index()
    unknown = Ref(5, bytes(32))
    assert index.find_unknown([old.ref, unknown]) == (old.ref, unknown)
    index.advance_horizon(level(3))
    index.advance_horizon(level(2))
    assert index.horizon == level(3)
    assert index.find_unknown([old.ref, unknown]) == (unknown,)
    index.add(new)
    assert index.find_unknown([new.ref]) == ()
    assert index.collect_ancestors([new.id]) == (new.ref,)


def test_prune_forgets_history_but_no_heads():
    builder = build(layers=3)
    lone = builder.vertex(0, parents=[])
    builder.layer(authors=[1, 2]).fork(2)
    index = fill(builder)
    assert index.prune(level(4)) == ()
    index.advance_horizon(level(4))
    pruned = index.prune(level(100))
    assert list(pruned) == [s.id for s in sorted(builder.vertices, key=lambda s: s.ref)][:12]
    assert len(index) == len(builder.vertices) - 12
    assert lone.id in index
    assert index.get_slot(builder.people[0].author, LANE_SPEECH, 0) == ()
    assert [entry.ref.lamport for entry in index.iterate()] == sorted(
        signed.vertex.lamport for signed in builder.vertices if signed.id not in pruned
    )


def test_prune_keeps_old_heads():
    builder = build(layers=1, authors=3)
    builder.vertex(1, parents=[builder.last(0).ref])
    builder.vertex(1, parents=[])
    index = fill(builder)
    kept = sorted(builder.last(number).ref for number in range(3))
    index.advance_horizon(level(4))
    index.prune(level(3))
    assert [entry.ref for entry in index.iterate()] == kept, "one of them has a child"
    assert index.lamport_max == 4
    assert (index.count_above, index.admitted) == (0, len(builder.vertices))


def test_prune_keeps_what_was_pinned():
    builder = build(layers=3)
    index = fill(builder)
    index.pin(builder.vertices[0].id)
    index.advance_horizon(level(1))
    assert index.count_above == len(builder.vertices) - 3
    assert len(index.prune(level(1))) == 2
    assert index.count_above == len(index) - 1
    late = Index()
    late.advance_horizon(level(1))
    for signed in builder.vertices:
        late.add(signed)
    assert late.count_above == len(builder.vertices) - 3


def test_ancestors_end_at_a_lamport():
    builder = build(layers=4)
    index = fill(builder)
    heads = [signed.id for signed in builder.vertices[-3:]]
    refs = sorted(signed.ref for signed in builder.vertices)
    assert index.collect_ancestors(heads, above=level(2)) == tuple(r for r in refs if r.lamport > 2)
    assert index.collect_ancestors(heads, exclude=heads[:1], above=level(5)) == ()


def test_prune_forgets_forked_slots():
    builder = build(layers=1, authors=3).fork(0)
    twin = builder.vertices[-1]
    third = builder.add(builder.twin(builder.last(0), body=b"third"))
    builder.vertex(1, parents=[twin.ref, third.ref])
    index = fill(builder)
    slot = (builder.people[0].author, LANE_SPEECH, 1)
    assert len(index.get_slot(*slot)) == 3
    index.advance_horizon(level(2))
    index.prune(level(2))
    assert index.get_slot(*slot) == (builder.last(0).id,)
    assert not index.is_slot_full(*slot)


def test_a_parent_that_was_admitted_after_its_child_is_still_kept_from_what_is_wanted():
    """It lies below the horizon, where references count as present."""
    builder = DagBuilder(3)
    other, parent = builder.vertex(0, parents=[]), builder.vertex(1, parents=[])
    child = builder.vertex(2, parents=[parent.ref])
    index = Index()
    index.advance_horizon(level(parent.vertex.lamport))
    for signed in (other, child, parent):
        index.add(signed)
    assert index.collect_ancestors([parent.id, other.id], exclude=[child.id]) == (other.ref,)


def test_a_walk_costs_what_was_admitted_lately_however_high_blocks_have_grown():
    """Rounds go on while little is said, so lamports of blocks leave those of speech behind."""
    builder = DagBuilder(2)
    said = builder.vertex(0, parents=[])
    blocks = [builder.vertex(1, lane=LANE_BLOCKS, parents=[said.ref])]
    for _ in range(300):
        blocks.append(builder.vertex(1, lane=LANE_BLOCKS, parents=[blocks[-1].ref]))
    late = builder.vertex(0, parents=[said.ref])
    tip = builder.vertex(1, lane=LANE_BLOCKS, parents=[blocks[-1].ref, late.ref])
    later = builder.vertex(0, parents=[late.ref])
    index = fill(builder)
    looked: list[bytes] = []
    entries = index._entries

    class Watched(dict):
        def __getitem__(self, key):
            looked.append(key)
            return entries[key]

    index._entries = Watched(entries)
    assert index.collect_ancestors([later.id], exclude=[tip.id]) == (later.ref,)
    assert len(looked) <= 3
