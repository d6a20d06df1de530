"""What a block newly covers: the same count at every node, whatever it has forgotten."""

from __future__ import annotations

import pytest

from consensus import floor
from consensus.block_store import BlockStore
from consensus.coverage import collect_covered, get_first_round, get_last_round
from consensus.validity import judge_bytes
from dag.identity import VerifiedVertex
from dag.types import Horizon, Ref
from tests.support.block_dag import BlockDag

RETAINED = 3
ROUNDS = 8


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "RETAINED_ROUNDS", RETAINED)


class Scene:
    """Full rounds over which every author says something, by the round that carries it."""

    def __init__(self) -> None:
        self.dag = BlockDag(4, epoch=7)
        self.old = self.dag.note(0)
        self.leader = self.dag.block(3, 90, epoch=6, payload=[self.old.ref], seq=0)
        self.store = BlockStore(self.dag.committee)
        self.rows: list[list[VerifiedVertex]] = []
        self.notes: list[Ref] = []
        for round_ in range(1, ROUNDS + 1):
            note = self.dag.note(0)
            below = self.rows[-1] if self.rows else ()
            row = self.dag.row(round_, below, payload={1: [note.ref]})
            for signed in row:
                self.store.add(judge_bytes(signed, self.dag.network, self.dag.committee))
            self.notes.append(note.ref)
            self.rows.append(row)

    def collect(self, round_: int, *payload: Ref) -> list[Ref]:
        """What a block of a round, over all of the round below, newly covers."""
        parents = [signed.ref for signed in self.rows[round_ - 2]] if round_ > 1 else []
        ordered = (self.leader.id,)
        found = collect_covered(
            payload, round_, parents, self.store, self.dag.index, ordered=ordered
        )
        return list(found)


def test_only_the_last_rounds_cover_anything():
    scene = Scene()
    assert scene.collect(9, scene.notes[-1]) == []
    side = scene.dag.note(1, parents=[scene.notes[5]])
    # The first note on its own: what covers it is older than the rounds that are looked at.
    assert (get_first_round(9), get_last_round(9)) == (7, 6)
    assert scene.notes[0] not in scene.collect(9, side.ref)
    lone = scene.dag.note(2, parents=[])
    own = scene.dag.builder.profile_ref(2)
    assert own not in scene.collect(9, lone.ref), "notes of these rounds stand on all profiles"
    assert scene.collect(9, lone.ref) == [lone.ref]


def test_what_older_rounds_alone_cover_counts_as_new():
    scene = Scene()
    dag, early = scene.dag, scene.dag.note(3, parents=[])
    row = dag.row(9, scene.rows[-1], payload={2: [early.ref]})
    rows = [row]
    for signed in row:
        scene.store.add(judge_bytes(signed, dag.network, dag.committee))
    for round_ in range(10, 14):
        row = dag.row(round_, rows[-1], payload={1: [dag.note(0, parents=[]).ref]})
        rows.append(row)
        for signed in row:
            scene.store.add(judge_bytes(signed, dag.network, dag.committee))
    child = dag.note(3, parents=[])
    found = []
    for round_, below in ((12, rows[2]), (13, rows[3])):
        parents = [signed.ref for signed in below]
        found.append(collect_covered([child.ref], round_, parents, scene.store, dag.index))
    assert early.ref in found[1]
    assert child.ref in found[1]


def test_genesis_covers_what_earlier_epochs_put_out_while_the_first_rounds_last():
    scene = Scene()
    for round_, covers in ((1, True), (2, True), (3, False)):
        lone = scene.dag.note(0, parents=[])
        found = collect_covered(
            [scene.old.ref, lone.ref],
            round_,
            [],
            scene.store,
            scene.dag.index,
            ordered=[scene.leader.id],
        )
        assert (scene.old.ref not in found) == covers
        assert lone.ref in found


def test_genesis_covers_nothing_that_was_put_away_before_the_epoch():
    scene = Scene()
    store = BlockStore(scene.dag.committee, epoch_lamport=scene.leader.vertex.lamport)
    ordered = [scene.leader.id]
    found = collect_covered([scene.old.ref], 1, [], store, scene.dag.index, ordered=ordered)
    assert scene.old.ref in found


def test_what_is_settled_is_not_counted():
    scene = Scene()
    lone = scene.dag.note(2, parents=[])
    scene.store.prune(0, 0, lone.vertex.lamport)
    assert scene.collect(9, lone.ref) == []


@pytest.mark.parametrize("pruned", [False, True])
def test_a_floor_takes_away_the_rule_and_changes_no_count(pruned: bool):
    """Whoever has forgotten all blocks below the floor counts like whoever holds them."""
    scene = Scene()
    lone = scene.dag.note(2, parents=[])
    before = {round_: scene.collect(round_, lone.ref, scene.notes[-1]) for round_ in (7, 8, 9)}
    scene.store.prune(5, 0)
    if pruned:
        # All blocks of rounds up to 5 and, as their lamports may fall, the lowest of round 6.
        lowest = min(signed.vertex.lamport for signed in scene.rows[6]) - 1
        index = scene.dag.index
        index.advance_horizon(Horizon(0, lowest))
        index.prune(Horizon(0, lowest))
        assert index.get(scene.rows[3][0].id) is None
    assert scene.collect(9, lone.ref, scene.notes[-1]) == before[9]
    assert scene.collect(8, lone.ref, scene.notes[-1]) == []
    assert scene.collect(7, lone.ref, scene.notes[-1]) == []
