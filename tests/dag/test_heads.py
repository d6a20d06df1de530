"""Heads: what they are, what new vertices stand on, and what peers compare."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.authors import AuthorRegistry
from dag.heads import Heads, compute_heads_digest, compute_lamport
from dag.index import Index
from dag.types import LANE_SPEECH, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level


class Forked:
    """Authors said to have forked."""

    has_uncounted = True

    def __init__(self, *authors):
        self.authors = authors

    def is_uncounted(self, author):
        return author in self.authors


class Honest:
    """Nobody has forked, and so nobody is asked about."""

    has_uncounted = False


def fill(builder):
    index, heads = Index(), Heads()
    for signed in builder.vertices:
        heads.add(index.add(signed))
    return index, heads


def build(authors=4, layers=2):
    builder = DagBuilder(authors).profiles()
    for _ in range(layers):
        builder.layer()
    return builder


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 7)), max_size=20))
def test_heads_are_vertices_without_children(steps):
    builder = DagBuilder(4).profiles()
    for author, block, mask in steps:
        refs = [signed.ref for signed in builder.vertices if signed.vertex.lane == LANE_SPEECH]
        parents = [ref for position, ref in enumerate(refs[-3:]) if mask >> position & 1]
        if block:
            builder.block(author, sorted({*builder.heads, *parents})[:3])
        else:
            builder.vertex(author, parents=parents)
    _, heads = fill(builder)
    lanes = {LANE_SPEECH: builder.speech_heads, 2: builder.heads}
    assert list(heads.speech_refs) == lanes[LANE_SPEECH]
    assert list(heads.refs) == lanes[2]


def test_parents_are_own_previous_then_ascending_with_the_highest():
    builder = build(authors=12, layers=1)
    builder.vertex(11, parents=[])
    _, heads = fill(builder)
    own = builder.last(0).ref
    parents = heads.select_parents(own)
    highest = builder.last(11).ref
    assert len(parents) == 8
    assert parents[0] == own
    assert list(parents[1:]) == sorted(parents[1:])
    assert highest in parents
    assert compute_lamport(parents) == highest.lamport + 1


def test_parents_take_the_oldest_heads_up_in_time():
    builder = build(authors=12, layers=1)
    builder.vertex(10, parents=[])
    builder.vertex(11, parents=[])
    _, heads = fill(builder)
    parents = heads.select_parents(None)
    assert list(parents[:-1]) == [ref for ref in heads.speech_refs if ref.lamport == 2][:7]


def test_parents_hold_knowledge_and_leave_out_excluded_heads():
    builder = build()
    _, heads = fill(builder)
    knowledge = builder.vertices[1].ref
    excluded = builder.last(3).ref
    own = builder.last(0).ref
    parents = heads.select_parents(own, knowledge=[knowledge, own], exclude=[excluded.id])
    assert parents[0] == own
    assert knowledge in parents
    assert excluded not in parents
    assert heads.select_parents(None, count_max=1) == heads.speech_refs[-1:]


def test_parents_of_an_empty_store_are_none():
    assert Heads().select_parents(None) == ()
    assert compute_lamport(()) == 1


def test_too_much_knowledge_is_a_programmer_error():
    refs = [Ref(number + 1, bytes([number]) * 32) for number in range(9)]
    with pytest.raises(AssertionError):
        Heads().select_parents(None, knowledge=refs)


def test_digest_refs_are_the_heads_of_an_honest_store():
    builder = build()
    index, heads = fill(builder)
    assert heads.collect_digest_refs(index, Forked()) == heads.refs
    index.advance_horizon(level(3))
    assert heads.collect_digest_refs(index, Forked()) == ()
    assert heads.collect_digest_refs(Index(), Forked()) == ()


def test_digest_refs_are_the_same_whether_or_not_each_author_is_asked_about():
    builder = build()
    for author in range(3):
        builder.vertex(author, parents=[builder.last(author).ref])
    index, heads = fill(builder)
    lamports = [ref.lamport for ref in heads.refs]
    assert len(dict.fromkeys(lamports)) > 1
    for lamport in range(max(lamports) + 1):
        index.advance_horizon(level(lamport))
        quick = heads.collect_digest_refs(index, Honest())
        assert quick == heads.collect_digest_refs(index, Forked())
        assert quick == tuple(ref for ref in heads.refs if ref.lamport > lamport)


def test_digest_refs_agree_whichever_twins_a_peer_holds():
    seen = []
    for bodies in ([], [b"one"], [b"two"], [b"one", b"two"]):
        builder = build()
        original = builder.vertex(2)
        for body in bodies:
            builder.add(builder.twin(original, body=body))
        if bodies:
            builder.vertex(2, parents=[])
        index, heads = fill(builder)
        seen.append(heads.collect_digest_refs(index, Forked(builder.people[2].author)))
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert seen[0] == tuple(sorted(build().last(author).ref for author in (0, 1, 3)))


def test_digest_refs_keep_what_others_built_on():
    builder = build(authors=2)
    twin = builder.add(builder.twin(builder.last(1)))
    child = builder.vertex(0, parents=[twin.ref])
    index, heads = fill(builder)
    refs = heads.collect_digest_refs(index, Forked(builder.people[1].author))
    assert refs == (child.ref,)


def test_digest_refs_take_pruned_parents_for_gone():
    builder = build(authors=2, layers=1)
    twin = builder.add(builder.twin(builder.last(1)))
    index, heads = Index(), Heads()
    index.advance_horizon(level(1))
    heads.add(index.add(twin))
    registry = AuthorRegistry(builder.genesis)
    assert heads.collect_digest_refs(index, registry) == (twin.ref,)
    assert heads.collect_digest_refs(index, Forked(builder.people[1].author)) == ()


def test_heads_digest_knows_no_order():
    refs = [Ref(2, b"a" * 32), Ref(1, b"b" * 32), Ref(1, b"c" * 32)]
    digests = {compute_heads_digest(order) for order in itertools.permutations(refs)}
    assert len(digests) == 1
    assert compute_heads_digest(refs[:2]) not in digests


def test_parents_are_not_chosen_below_the_horizon():
    builder = DagBuilder(3).profiles().layer()
    _, heads = fill(builder)
    own = builder.vertices[-1].ref
    assert heads.select_parents(None, above=own.lamport) == ()
    assert heads.select_parents(own, above=own.lamport) == (own,)
    assert heads.select_parents(own, above=own.lamport - 1) == heads.select_parents(own)
