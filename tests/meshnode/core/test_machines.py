"""State machines beside the mesh's own decisions: folded, asked for deadlines, put away together."""

from __future__ import annotations

import pytest

from consensus.committee import make_first_committee
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.intake import Intake
from dag.order import Commit
from dag.types import Kind
from market.commands import Batch, Stake
from meshnode.core.machines import (
    DECISIONS_PIECE,
    MARKET_PIECE,
    ROLL_PIECE,
    BrokenLedger,
    Machines,
)
from meshnode.core.pinned import PINNED_PIECE
from tests.support.dag_builder import DagBuilder
from tests.support.replica_scene import Ledger


def make(builder: DagBuilder, *registered: Ledger) -> Machines:
    return Machines(builder.genesis, Intake(builder.genesis).authors, registered)


@pytest.fixture
def builder() -> DagBuilder:
    return DagBuilder(3).profiles().layer()


def fold(machines: Machines, builder: DagBuilder) -> None:
    refs = tuple(signed.ref for signed in builder.vertices)
    machines.apply(Commit(1, b"d" * 32, bytes(32), b"l" * 32, refs, 5), builder.vertices)


def test_every_machine_is_given_every_commit(builder: DagBuilder):
    one, two = Ledger(), Ledger()
    machines = make(builder, one, two)
    fold(machines, builder)
    assert one.commits == two.commits
    assert one.vertices == builder.vertices
    assert sorted(machines.roll.members) == sorted(p.author for p in builder.people)
    assert len(machines.pinned.profiles) == 3


def test_the_first_deadline_of_all_counts(builder: DagBuilder):
    assert make(builder).find_deadline() is None
    assert make(builder, Ledger(), Ledger(due_ms=9), Ledger(due_ms=7)).find_deadline() == 7


def test_what_is_put_away_is_taken_up(builder: DagBuilder):
    before = make(builder, Ledger())
    fold(before, builder)
    pieces = before.freeze()
    assert sorted(pieces) == [
        DECISIONS_PIECE,
        "machine-00",
        MARKET_PIECE,
        PINNED_PIECE,
        ROLL_PIECE,
    ]
    ledger = Ledger()
    after = make(builder, ledger)
    after.restore(pieces)
    assert ledger.restored == pieces["machine-00"]
    assert after.pinned == before.pinned
    assert after.decisions.root() == before.decisions.root()
    assert after.market.root() == before.market.root()


@pytest.mark.parametrize(
    "lacking",
    [
        DECISIONS_PIECE,
        "machine-00",
        MARKET_PIECE,
        PINNED_PIECE,
        ROLL_PIECE,
    ],
)
def test_a_state_without_a_piece_is_of_another_version(builder: DagBuilder, lacking: str):
    machines = make(builder, Ledger())
    pieces = machines.freeze()
    del pieces[lacking]
    with pytest.raises(MalformedMessage, match="another version"):
        machines.restore(pieces)


def test_the_committee_of_an_epoch_weighs_in_the_market(builder: DagBuilder):
    machines = make(builder)
    machines.set_committee(make_first_committee(builder.genesis))
    assert machines.market._weights == {
        validator.author: validator.stake for validator in builder.genesis.committee
    }


def test_folding_stops_when_money_came_from_nowhere(builder: DagBuilder):
    machines = make(builder)
    machines.market.ledger.totals.burned += 7
    fold(machines, builder)  # no money moves in this commit, so nothing is summed up
    builder.vertex(0, kind=Kind.MARKET, body=encode(Batch((Stake(1),))))
    with pytest.raises(BrokenLedger, match="7 uruv that were never minted"):
        fold(machines, builder)
