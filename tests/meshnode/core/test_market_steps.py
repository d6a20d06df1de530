"""What a commit did to the market leaves the core as a value, with the commit and once."""

from __future__ import annotations

import pytest

from dag.canonical import encode
from dag.identity import VerifiedVertex
from dag.types import Kind
from market.commands import Accept, Batch, Close, Finalise, Stake
from meshnode.core.events import Committed
from meshnode.core.market_steps import MarketStep, take_step
from tests.support.block_dag import BlockDag
from tests.support.market_scene import MarketScene
from tests.support.replica_scene import ReplicaScene

ROUNDS = 8


def make_dag() -> tuple[BlockDag, list[VerifiedVertex]]:
    """Full rounds, of which the second carries a command that is refused."""
    dag = BlockDag()
    body = encode(Batch((Stake(1),)))
    command = dag.builder.vertex(2, kind=Kind.MARKET, body=body)
    dag.index.add(command)
    heads = tuple(signed.ref for signed in dag.builder.vertices)
    below = dag.row(1, payload={0: heads})
    made = list(below)
    for round_ in range(2, ROUNDS + 1):
        below = dag.row(round_, below)
        made += below
    return dag, [*dag.builder.vertices, *made]


@pytest.fixture(scope="module")
def history() -> tuple[BlockDag, list[VerifiedVertex]]:
    return make_dag()


def list_steps(scene: ReplicaScene) -> list[tuple[int, MarketStep]]:
    return [
        (event.commit.index, event.market)
        for event in scene.events
        if isinstance(event, Committed) and event.market is not None
    ]


def test_a_step_holds_what_began_and_ended_as_it_was_then():
    scene = MarketScene()
    assert take_step(scene.state) is None
    scene.list_model()
    scene.make_provider(5)
    scene.offer(5, 2_000, 4)
    scene.bid(6, 2_000, 4)
    traded = take_step(scene.state)
    assert traded is not None
    (contract,) = traded.opened
    assert (contract.phase, contract.lots, contract.price) == ("locked", 4, 2_000)
    assert contract.bid and contract.offer and contract.bid != contract.offer
    scene.say(5, Accept(contract.id))
    assert contract.phase == "locked"
    scene.say(6, Close(contract.id))
    scene.say(6, Finalise(contract.id))
    scene.say(5, Finalise(contract.id))
    settled = take_step(scene.state)
    assert settled is not None
    assert [(each.contract.id, each.outcome) for each in settled.ended] == [
        (contract.id, "settled")
    ]
    assert settled.opened == ()
    scene.wait(1)
    assert take_step(scene.state) is None


def test_what_a_commit_did_is_told_with_it_once(history):
    dag, vertices = history
    scene = ReplicaScene(dag)
    scene.admit(vertices)
    ((index, step),) = list_steps(scene)
    assert [event.detail for event in step.events] == ["insufficient_funds"]
    again = ReplicaScene(dag, record=scene.record)
    again.restore(vertices)
    assert list_steps(again) == []
    behind = ReplicaScene(dag, record=scene.record, delivered=index - 1)
    behind.restore(vertices)
    assert list_steps(behind) == [(index, step)]
    assert behind.replica.machines.market.root() == scene.replica.machines.market.root()


def test_the_order_halts_when_money_came_from_nowhere(history):
    dag, vertices = history
    scene = ReplicaScene(dag)
    scene.replica.machines.market.ledger.totals.burned += 5
    scene.admit(vertices)
    assert scene.halted == [scene.replica.halted]
    assert "5 uruv that were never minted" in scene.replica.halted
    assert len(scene.told) < ROUNDS - 2
    again = ReplicaScene(dag, record=scene.record)
    again.replica.machines.market.ledger.totals.burned += 5
    again.restore(vertices)
    assert again.replica.halted == scene.replica.halted
