"""The order in a node: folded once, told once and in order, the same again after a restart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consensus import floor
from consensus.block import Block, CommitVote
from consensus.commits import CommitHead
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.genesis import Parameters
from dag.identity import VerifiedVertex
from dag.types import Ref
from tests.support.block_dag import BlockDag, own_first
from tests.support.dag_builder import DagBuilder
from tests.support.replica_scene import Ledger, ReplicaScene

ROUNDS = 8


class FilledDag(BlockDag):
    """A dag that knows its blocks, and all it holds in the order of admission."""

    blocks: list[VerifiedVertex]
    all: list[VerifiedVertex]


def make_dag(rounds: int = ROUNDS) -> FilledDag:
    """Full rounds; the first carry the profiles, the third a note."""
    dag = FilledDag()
    heads = tuple(signed.ref for signed in dag.builder.vertices)
    below = dag.row(1, payload={0: heads})
    made = list(below)
    for round_ in range(2, rounds + 1):
        payload: dict[int, Sequence[Ref]] = {1: (dag.note(2).ref,)} if round_ == 3 else {}
        below = dag.row(round_, below, payload=payload)
        made += below
    dag.blocks = made
    dag.all = [*dag.builder.vertices, *made]
    return dag


@pytest.fixture(scope="module")
def dag() -> FilledDag:
    return make_dag()


def test_commits_are_told_in_order_with_everything_said_before_its_block(dag):
    ledger = Ledger()
    scene = ReplicaScene(dag, ledger)
    scene.admit(dag.all)
    assert [commit.index for commit in scene.told] == list(range(1, len(scene.told) + 1))
    assert len(scene.told) == ROUNDS - 2
    assert ledger.commits == scene.told
    told = [ref.id for commit in scene.told for ref in commit.vertices]
    assert len(told) == len(set(told))
    assert [signed.id for signed in ledger.vertices] == [
        vertex_id for vertex_id in told if vertex_id in {s.id for s in dag.builder.vertices}
    ]
    assert len(ledger.vertices) == 5
    assert len(scene.replica.backlog) == 0
    assert scene.replica.head == CommitHead(
        scene.told[-1].index, scene.told[-1].digest, scene.told[-1].time_ms
    )
    assert ledger.root() == scene.replica.head.digest
    assert len(ledger.snapshot()) == 5 * 32
    assert len(scene.replica.committee) == 4
    assert scene.replica.ordering.store.highest_round == ROUNDS
    assert scene.replica.schedule.get_leaders(1)


def test_the_record_is_durable_before_anything_is_told(dag):
    scene = ReplicaScene(dag)
    for signed in dag.all:
        scene.intake.restore(signed)
        scene.replica.on_admitted(signed)
        effects = scene.outbox.take()
        kinds = [type(effect).__name__ for effect in effects]
        assert kinds in ([], ["Persist", "Emit"])


def test_a_block_that_breaks_a_rule_has_no_effect(dag):
    scene = ReplicaScene(dag)
    scene.admit(dag.builder.vertices)
    block = dag.block(0, 2, admit=False)
    assert scene.replica.on_admitted(block).block is None
    assert scene.replica.inert_count == 1
    good = dag.blocks[0]
    accepted = scene.replica.on_admitted(good).block
    assert accepted is not None
    assert accepted.id == good.id


def test_a_block_that_counts_once_its_parents_are_forgotten_is_given_back(monkeypatch):
    monkeypatch.setattr(floor, "RETAINED_ROUNDS", 2)
    dag = BlockDag()
    rows = dag.rows(66)
    vote = (CommitVote(9_999, b"d" * 32), CommitVote(10_000, b"d" * 32))
    broken = dag.block(0, 2, rows[0][:2], time_ms=1, votes=vote)
    scene = ReplicaScene(dag)
    scene.admit([*dag.builder.vertices, *(signed for row in rows[:60] for signed in row)])
    scene.admit([broken])
    assert scene.replica.inert_count == 1
    released: list[Block] = []
    for signed in (signed for row in rows[60:] for signed in row):
        scene.intake.restore(signed)
        released += scene.replica.on_admitted(signed).released
    assert [block.id for block in released] == [broken.id]
    assert released[0].votes == vote


@pytest.mark.parametrize("delivered", [None, 0, 2])
def test_a_restart_folds_everything_and_tells_what_was_not_told(dag, delivered):
    before = ReplicaScene(dag)
    before.admit(dag.all)
    ledger = Ledger()
    after = ReplicaScene(dag, ledger, record=before.record, delivered=delivered)
    after.restore(dag.all)
    start = len(before.told) if delivered is None else delivered
    assert ledger.commits == before.told
    assert after.told == before.told[start:]
    assert after.replica.head == before.replica.head


def test_what_the_vertices_give_beyond_the_record_is_told_after_a_restart(dag):
    before = ReplicaScene(dag)
    before.admit(dag.all[:-8])
    after = ReplicaScene(dag, record=before.record)
    after.restore(dag.all)
    assert [commit.index for commit in after.told] == [5, 6]
    assert after.record == encode(after.replica.head)


def test_an_old_copy_of_the_store_tells_nothing_twice(dag):
    scene = ReplicaScene(dag, delivered=4)
    scene.restore(dag.all[:-8])
    assert scene.told == []
    scene.admit(dag.all[-8:])
    assert [commit.index for commit in scene.told] == [5, 6]
    scene = ReplicaScene(dag, delivered=4)
    scene.admit(dag.all)
    assert [commit.index for commit in scene.told] == [5, 6]


def test_a_store_that_gives_another_order_is_refused(dag):
    record = encode(CommitHead(2, bytes(32), 0))
    with pytest.raises(MalformedMessage, match="commit 2 is not"):
        ReplicaScene(dag, record=record).restore(dag.all)
    with pytest.raises(MalformedMessage, match="vertices end at 6"):
        ReplicaScene(dag, record=encode(CommitHead(9, bytes(32), 0))).restore(dag.all)
    with pytest.raises(MalformedMessage):
        ReplicaScene(dag, record=b"no record")


def test_state_machines_say_when_they_want_a_commit(dag):
    assert ReplicaScene(dag).replica.find_deadline() is None
    machines = (Ledger(), Ledger(due_ms=30), Ledger(due_ms=20))
    assert ReplicaScene(dag, *machines).replica.find_deadline() == 20


def test_too_many_liars_halt_the_order_and_nothing_else():
    """At wave 2 one vote commits a twin and skips its slot: most of the six vote two ways."""
    dag = BlockDag(6)
    dag.builder = DagBuilder(6, parameters=Parameters(profile="bft5")).profiles()
    dag.network = dag.builder.network
    one = dag.row(1)
    leader = 1
    other = [*one]
    other[leader] = dag.block(leader, 1, time_ms=1)
    neither = [block for n, block in enumerate(one) if n != leader]

    def vote(author, row, time_ms):
        return dag.block(
            author, 2, own_first(row, dag.builder.people[author].author), time_ms=time_ms
        )

    votes = [vote(author, one, 10) for author in (0, 1, 2, 3)]
    votes += [vote(author, other, 20) for author in (1, 2, 3, 4)]
    votes.append(vote(4, neither, 30))
    scene = ReplicaScene(dag)
    scene.admit([*dag.builder.vertices, *one, other[leader], *votes])
    assert scene.replica.halted == ""
    scene.admit([vote(5, other, 20)])
    assert scene.halted == [scene.replica.halted]
    assert "skips and commits" in scene.replica.halted
    scene.admit([vote(0, other, 20)])
    assert not scene.told
    assert len(scene.halted) == 1
