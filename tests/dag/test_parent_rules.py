"""Rules about parents that are here."""

from __future__ import annotations

import msgspec
import pytest

from dag.errors import InvalidVertex
from dag.index import Index
from dag.parent_rules import check_parents
from dag.types import LANE_SPEECH, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level


def make() -> tuple[DagBuilder, Index]:
    builder = DagBuilder(2).profiles().layer()
    builder.block(0, [])
    index = Index()
    for signed in builder.vertices:
        index.add(signed)
    return builder, index


def test_sound_parents_and_missing_ones_pass():
    builder, index = make()
    check_parents(index, builder.vertex(0).vertex)
    stranger = Ref(9, bytes(32))
    check_parents(index, builder.vertex(1, parents=[stranger]).vertex)


@pytest.mark.parametrize("rule", ["parent-lamport", "lane-reference", "own-previous"])
def test_broken_rule_is_named_with_the_highest_parent_that_shows_it(rule: str):
    builder, index = make()
    block = builder.last(0, 1).ref
    other = builder.last(1).ref
    vertex = builder.vertex(0).vertex
    first = vertex.parents[0]
    parents = {
        "parent-lamport": (first, Ref(other.lamport + 1, other.id)),
        "lane-reference": (first, block),
        "own-previous": (other,),
    }[rule]
    broken = msgspec.structs.replace(vertex, parents=parents)
    with pytest.raises(InvalidVertex) as caught:
        check_parents(index, broken)
    assert caught.value.rule == rule
    assert caught.value.parent == (parents[-1].lamport, LANE_SPEECH)


def test_parents_below_the_horizon_are_not_looked_at():
    builder, index = make()
    vertex = builder.vertex(0).vertex
    broken = msgspec.structs.replace(vertex, parents=(builder.last(1).ref,))
    index.advance_horizon(level(builder.last(1).ref.lamport))
    check_parents(index, broken)
