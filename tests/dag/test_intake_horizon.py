"""References at or below the horizon: nobody looks at them, so stores stay equal."""

from __future__ import annotations

import pytest

from dag.errors import InvalidVertex
from dag.outcomes import BelowHorizon, Quarantined
from dag.types import LANE_SPEECH, Ref
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level
from tests.support.intake_steps import admitted, build_child, change, fill, offer


@pytest.fixture
def builder():
    return DagBuilder(3).profiles().layer()


@pytest.mark.parametrize("forked", [False, True])
def test_reference_with_a_false_lamport_below_the_horizon_leads_nowhere_for_everybody(
    builder, forked
):
    """Who holds what it names sees no more in it than who does not."""
    own = builder.last(1)
    named = builder.vertex(0)
    false = Ref(1, named.id)
    liar = builder.sign(1, change(build_child(builder, 1, own), parents=(own.ref, false)))
    twins = [builder.twin(liar)] if forked else []
    stores = []
    for order in ((named, liar), (liar, named)):
        intake = fill(DagBuilder(3).profiles().layer())
        intake.advance_horizon(level(1))
        assert offer(intake, *order) == [admitted(signed) for signed in order]
        offer(intake, *twins)
        entry = intake.index.get(named.id)
        assert entry is not None
        stores.append((
            intake.heads.refs,
            intake.heads.collect_digest_refs(intake.index, intake.authors),
            intake.index.collect_ancestors([liar.id]),
            entry.children,
        ))  # fmt: skip
    assert stores[0] == stores[1]
    assert named.ref in stores[0][0]
    assert named.ref not in stores[0][2]
    assert stores[0][3] == 0
    early = fill(DagBuilder(3).profiles().layer())
    offer(early, named)
    with pytest.raises(InvalidVertex, match="parent-lamport"):
        offer(early, liar)


def test_own_predecessor_below_the_horizon_is_not_looked_at(builder):
    own, other = builder.last(1), builder.last(2)
    false = builder.sign(1, change(build_child(builder, 1, own), parents=(other.ref,)))
    intake = fill(DagBuilder(3).profiles().layer())
    with pytest.raises(InvalidVertex, match="own-previous"):
        offer(intake, false)
    intake.advance_horizon(level(other.vertex.lamport))
    assert offer(intake, false) == [admitted(false)]


def test_a_broken_rule_says_whose_horizon_hides_it(builder):
    own, other = builder.last(1), builder.last(2)
    intake = fill(DagBuilder(3).profiles().layer())
    parents = (Ref(1, other.id), Ref(own.vertex.lamport + 5, own.id))
    false = builder.sign(1, change(build_child(builder, 1, own), parents=parents, lamport=8))
    child = builder.sign(2, build_child(builder, 2, false))
    offer(intake, child)
    with pytest.raises(InvalidVertex, match="parent-lamport") as caught:
        offer(intake, false)
    assert caught.value.parent == (parents[1].lamport, LANE_SPEECH)
    (fallen,) = intake.drain_rejected()
    assert fallen.error.rule == "invalid-ancestor"
    assert fallen.error.parent == (parents[1].lamport, LANE_SPEECH)
    parents = (Ref(own.vertex.lamport + 5, own.id), Ref(1, other.id))
    with pytest.raises(InvalidVertex, match="parent-lamport") as caught:
        offer(intake, builder.sign(1, change(false.vertex, parents=parents, body=b"turned")))
    assert caught.value.parent == (parents[0].lamport, LANE_SPEECH)
    fields = {"seq": 0, "parents": (), "lamport": 1}
    stranger = builder.sign(1, change(build_child(builder, 1, other), **fields))
    with pytest.raises(InvalidVertex, match="first-profile") as caught:
        offer(intake, stranger)
    assert caught.value.parent is None


def test_what_lies_below_the_horizon_is_taken_for_its_own_sake_only(builder):
    old = builder.vertex(1)
    intake = fill(DagBuilder(3).profiles())
    intake.advance_horizon(level(old.vertex.lamport))
    assert offer(intake, old) == [BelowHorizon()]
    assert intake.take_old(old) == admitted(old)
    assert intake.take_old(old) == admitted()
    stranger = builder.vertex(builder.join(0))
    intake.advance_horizon(level(stranger.vertex.lamport))
    with pytest.raises(InvalidVertex, match="first-profile"):
        intake.take_old(stranger)


def test_a_store_that_is_closed_lets_nothing_in_and_forgets(builder):
    intake = fill(builder.layer())
    missing = builder.vertex(1)
    child = builder.vertex(2, parents=[missing.ref])
    assert isinstance(offer(intake, child)[0], Quarantined)
    held = len(intake.index)
    forgotten = intake.close(level(missing.vertex.lamport))
    assert forgotten
    assert len(intake.index) == held - len(forgotten)
    assert child.id not in intake.index
