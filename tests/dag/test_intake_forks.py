"""Forks at intake: two of a slot enter, further ones only with what references them."""

from __future__ import annotations

import pytest

from dag.outcomes import Admitted, Quarantined, Refused
from dag.types import LANE_SPEECH
from tests.support.dag_builder import START_MS, DagBuilder
from tests.support.intake_steps import admitted, build_child, change, fill, offer


@pytest.fixture
def builder():
    return DagBuilder(3).profiles().layer()


def test_two_of_a_slot_enter_and_mark_the_author(builder):
    intake = fill(builder)
    first = builder.last(1)
    twin = builder.twin(first)
    (outcome,) = offer(intake, twin)
    assert isinstance(outcome, Admitted)
    (fork,) = outcome.forks
    assert outcome.vertices == (twin,)
    assert (fork.author, fork.lane, fork.seq) == (first.vertex.author, LANE_SPEECH, 1)
    assert (fork.first, fork.second) == (first.ref, twin.ref)
    assert intake.forks == (fork,)
    assert intake.authors.is_forked(first.vertex.author)
    again = builder.twin(
        builder.vertices[1], time_ms=START_MS + 77, body=builder.vertices[1].vertex.body
    )
    assert offer(intake, again)[0] == admitted(again)
    assert not intake.mark_forked(fork)


def test_third_of_a_slot_enters_only_with_a_vertex_that_references_it(builder):
    intake = fill(builder)
    first = builder.last(1)
    third = builder.twin(first, body=b"third")
    offer(intake, builder.twin(first))
    assert offer(intake, third) == [Refused("surplus-fork")]
    child = builder.sign(0, build_child(builder, 0, third))
    assert offer(intake, child) == [Quarantined((third.ref,))]
    assert offer(intake, third) == [admitted(third, child)]
    assert len(intake.index.get_slot(first.vertex.author, LANE_SPEECH, 1)) == 3


def test_third_of_a_slot_waits_until_its_child_is_complete(builder):
    intake = fill(builder)
    first = builder.last(1)
    third = builder.twin(first, body=b"third")
    parent = builder.vertex(2)
    child = change(
        build_child(builder, 0, third),
        parents=(builder.last(0).ref, *sorted((third.ref, parent.ref))),
        lamport=parent.vertex.lamport + 1,
    )
    child = builder.sign(0, child)
    offer(intake, builder.twin(first))
    assert offer(intake, child) == [Quarantined(child.vertex.parents[1:])]
    assert offer(intake, third) == [Quarantined(())]
    assert third.id not in intake.index
    assert offer(intake, parent) == [admitted(parent, third, child)]


def make_surplus_chain(builder):
    """A surplus vertex whose successor is surplus too, and a child of that by another author."""
    first = builder.last(1)
    second = builder.vertex(1, parents=[])
    intake = fill(builder)
    offer(intake, builder.twin(first), builder.twin(second))
    third = builder.twin(first, body=b"third")
    successor = change(second.vertex, parents=(third.ref,), body=b"successor")
    successor = builder.sign(1, successor)
    child = builder.sign(0, build_child(builder, 0, successor))
    return intake, third, successor, child


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (2, 0, 1)])
def test_surplus_chain_enters_with_the_vertex_at_its_end(builder, order):
    intake, third, successor, child = make_surplus_chain(builder)
    chain = (third, successor, child)
    outcomes = offer(intake, *[chain[position] for position in order])
    while isinstance(outcomes[-1], Refused | Quarantined):
        outcomes = offer(intake, third, successor)
    assert all(signed.id in intake.index for signed in chain)
    assert len(intake.quarantine) == 0


def test_surplus_vertices_alone_never_enter(builder):
    intake, third, successor, _ = make_surplus_chain(builder)
    assert offer(intake, successor, third) == [Refused("surplus-fork")] * 2
    assert len(intake.quarantine) == 0


def test_surplus_ancestor_named_twice_enters_once(builder):
    intake, third, successor, _ = make_surplus_chain(builder)
    child = build_child(builder, 0, successor)
    child = change(child, parents=(child.parents[0], *sorted((third.ref, successor.ref))))
    child = builder.sign(0, child)
    offer(intake, child, successor)
    assert offer(intake, third) == [admitted(third, successor, child)]


def test_waiting_vertex_that_becomes_surplus_is_dropped(builder):
    intake = fill(builder)
    first = builder.last(1)
    parent = builder.vertex(0)
    late = change(
        first.vertex,
        parents=(first.vertex.parents[0], parent.ref),
        lamport=parent.vertex.lamport + 1,
    )
    late = builder.sign(1, late)
    assert offer(intake, late) == [Quarantined((parent.ref,))]
    offer(intake, builder.twin(first))
    assert offer(intake, parent) == [admitted(parent)]
    assert len(intake.quarantine) == 0


def test_invalid_surplus_vertex_takes_its_child_with_it(builder):
    intake = fill(builder)
    first = builder.last(1)
    offer(intake, builder.twin(first))
    bad = builder.sign(1, change(first.vertex, parents=(builder.vertices[0].ref,), body=b"bad"))
    child = builder.sign(0, build_child(builder, 0, bad))
    offer(intake, child, source="a")
    assert offer(intake, bad, source="b") == [admitted()]
    fallen = intake.drain_rejected()
    assert [(item.sources, item.error.rule) for item in fallen] == [
        (("a",), "invalid-ancestor"),
        (("b",), "own-previous"),
    ]


def test_surplus_vertex_with_many_waiters_is_settled_once(builder):
    intake, third, successor, child = make_surplus_chain(builder)
    other = builder.sign(2, build_child(builder, 2, successor))
    offer(intake, child, other, successor)
    assert offer(intake, third) == [admitted(third, successor, child, other)]


def test_surplus_vertex_with_two_surplus_parents_is_settled_once(builder):
    intake = fill(builder)
    parent = builder.vertex(0)
    surplus = []
    for author in (1, 2):
        first = builder.last(author)
        offer(intake, builder.twin(first))
        parents = (first.vertex.parents[0], parent.ref)
        vertex = change(first.vertex, parents=parents, lamport=parent.vertex.lamport + 1)
        surplus.append(builder.sign(author, vertex))
    one, two = surplus
    second = builder.vertex(1, parents=[])
    offer(intake, second, builder.twin(second))
    parents = (one.ref, two.ref)
    vertex = change(second.vertex, parents=parents, lamport=one.vertex.lamport + 1)
    join = builder.sign(1, vertex)
    child = builder.sign(0, change(build_child(builder, 0, join), seq=3))
    offer(intake, child, join, one, two)
    (outcome,) = offer(intake, parent)
    assert isinstance(outcome, Admitted)
    assert {signed.id for signed in outcome.vertices} == {
        signed.id for signed in (parent, one, two, join, child)
    }
    assert outcome.vertices[-1] == child
