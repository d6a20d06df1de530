"""What local policy keeps out enters with what needs it, and with nothing else."""

from __future__ import annotations

import itertools

import pytest

from dag.intake import Intake
from dag.outcomes import Quarantined, Refused
from dag.types import Kind
from tests.support.dag_builder import DagBuilder
from tests.support.intake_steps import NOW, admitted, fill, offer

OUT = 2


@pytest.fixture
def builder():
    return DagBuilder(4).profiles().layer()


def keep_out(intake: Intake, builder: DagBuilder) -> Intake:
    author = builder.people[OUT].author
    intake.set_policy(lambda _now_ms, vertex: vertex.author == author)
    return intake


def test_loose_vertex_is_kept_out_and_goes_after_a_while(builder):
    intake = keep_out(fill(builder), builder)
    said = builder.vertex(OUT)
    assert offer(intake, said) == [Quarantined(())]
    assert said.id not in intake.index
    intake.expire(NOW + 30_000)
    assert len(intake.quarantine) == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_chain_enters_with_the_vertex_that_needs_it_whatever_comes_first(builder, order):
    intake = keep_out(fill(builder), builder)
    first = builder.vertex(OUT, parents=[])
    second = builder.vertex(OUT, parents=[])
    child = builder.vertex(0, parents=[second.ref])
    chain = (first, second, child)
    offer(intake, *(chain[place] for place in order))
    offer(intake, *chain)
    assert all(signed.id in intake.index for signed in chain)
    assert len(intake.quarantine) == 0


def test_what_misses_more_than_what_is_kept_out_is_not_kept(builder):
    intake = keep_out(fill(builder), builder)
    builder.vertex(OUT, parents=[])
    second = builder.vertex(OUT, parents=[])
    assert offer(intake, second) == [Refused("kept-out")]
    child = builder.vertex(0, parents=[second.ref])
    assert offer(intake, child) == [Quarantined((second.ref,))]
    missing = Quarantined((second.vertex.parents[0],))
    assert offer(intake, second) == [missing]


def test_block_of_a_member_brings_what_it_covers(builder):
    intake = keep_out(fill(builder), builder)
    said = builder.vertex(OUT, parents=[])
    block = builder.block(0, [said.ref])
    assert offer(intake, block) == [Quarantined((said.ref,), builder.people[0].author)]
    assert offer(intake, said) == [admitted(said, block)]


def test_block_of_who_is_kept_out_has_no_reserved_part(builder):
    intake = keep_out(fill(builder), builder)
    block = builder.block(OUT, [])
    assert block.vertex.kind == Kind.BLOCK
    assert offer(intake, block) == [Quarantined(())]
    assert intake.quarantine.reserved_count == 0
    after = builder.block(0, [block.ref])
    assert offer(intake, after) == [admitted(block, after)]


def test_what_was_stored_before_stays_and_is_restored(builder):
    intake = keep_out(fill(builder), builder)
    assert builder.last(OUT).id in intake.index
    again = keep_out(Intake(builder.genesis), builder)
    for signed in builder.vertices:
        again.restore(signed)
    assert again.heads.refs == intake.heads.refs
