"""One rule, one name: what makes a lane-1 vertex inert."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from consensus import validity
from consensus.block import COMMIT_VOTES_MAX, CommitVote
from consensus.block_store import BlockStore
from consensus.errors import InvalidBlock, Release
from consensus.validity import FutureEpoch, judge_ancestors, judge_bytes
from dag.types import COUNTER_MAX, LANE_SPEECH, Kind, Ref
from tests.support.block_dag import BlockDag


class Bench:
    """Five full rounds in epoch 7, and a store that holds them."""

    def __init__(self) -> None:
        self.dag = BlockDag(5, epoch=7)
        self.dag.committee = type(self.dag.committee)(7, self.dag.committee.validators[:4])
        self.store = BlockStore(self.dag.committee)
        self.rows = self.dag.rows(5)
        for row in self.rows:
            for signed in row:
                self.accept(signed)

    def judge(self, signed):
        block = judge_bytes(signed, self.dag.network, self.dag.committee)
        judge_ancestors(block, self.store, self.dag.index)
        return block

    def accept(self, signed):
        self.store.add(self.judge(signed))
        return signed

    def breaks(self, signed) -> str:
        with pytest.raises(InvalidBlock) as caught:
            self.judge(signed)
        return caught.value.rule


@pytest.fixture
def bench() -> Bench:
    return Bench()


def own_row(bench: Bench, row: int, author: int = 1):
    return sorted(
        bench.rows[row], key=lambda s: bench.dag.builder.number_of(s.vertex.author) != author
    )


def test_block_over_its_own_last_and_a_quorum_is_valid(bench: Bench):
    below = own_row(bench, 4)
    assert bench.judge(bench.dag.block(1, 6, below)).round == 6
    assert bench.judge(bench.dag.block(1, 6, below[:3])).author == 1
    skipped = [bench.rows[2][1], *below[1:]]
    assert bench.judge(bench.dag.block(1, 6, skipped, previous_round=3, seq=3)).previous_round == 3


def test_vertices_of_others_are_no_blocks_of_the_committee(bench: Bench):
    dag = bench.dag
    assert bench.breaks(dag.block(1, 1, network=bytes(32), admit=False)) == "network"
    assert bench.breaks(dag.block(4, 1)) == "author"
    assert bench.breaks(dag.block(1, 1, kind=Kind.NOTE)) == "kind"
    assert bench.breaks(dag.block(1, 1, lane=LANE_SPEECH, admit=False)) == "kind"
    assert bench.breaks(dag.block(1, 1, body=b"?")) == "body"


def test_epochs_are_kept_apart(bench: Bench):
    assert bench.breaks(bench.dag.block(1, 1, epoch=6)) == "epoch"
    with pytest.raises(FutureEpoch):
        bench.judge(bench.dag.block(1, 1, epoch=8))


def test_a_block_of_an_epoch_to_come_may_be_anybodys(bench: Bench):
    with pytest.raises(FutureEpoch):
        bench.judge(bench.dag.block(4, 1, epoch=8))
    assert bench.breaks(bench.dag.block(4, 1, epoch=8, kind=Kind.NOTE)) == "author"
    assert bench.breaks(bench.dag.block(4, 1, body=b"?")) == "author"


@pytest.mark.parametrize(
    ("round_", "previous"), [(0, 0), (-1, 0), (COUNTER_MAX + 1, 0), (6, 6), (6, -1)]
)
def test_rounds_are_in_range(bench: Bench, round_: int, previous: int):
    assert (
        bench.breaks(bench.dag.block(1, round_, previous_round=previous, seq=0, time_ms=5))
        == "round"
    )


def test_commit_votes_are_few_ascending_and_whole(bench: Bench):
    digest = b"d" * 32
    below = own_row(bench, 4)
    many = tuple(CommitVote(index + 1, digest) for index in range(COMMIT_VOTES_MAX + 1))
    assert bench.judge(bench.dag.block(1, 6, below, votes=many[:-1])).votes == many[:-1]
    rooted = (CommitVote(3, digest), CommitVote(5, digest, b"r" * 32))
    assert bench.judge(bench.dag.block(1, 6, below, votes=rooted)).votes == rooted
    for votes in (
        many,
        (CommitVote(0, digest),),
        (CommitVote(2, digest), CommitVote(2, digest)),
        (CommitVote(1, b"short"),),
        (CommitVote(1, digest, b"short"),),
        (CommitVote(COUNTER_MAX + 1, digest),),
    ):
        assert bench.breaks(bench.dag.block(1, 6, below, votes=votes)) == "votes"


def test_sizes_are_bounded(bench: Bench):
    below = own_row(bench, 4)
    assert bench.breaks(bench.dag.block(1, 6, [*below, bench.rows[3][0]])) == "size"
    heads = [Ref(1, bytes([i]) * 32) for i in range(65)]
    assert bench.breaks(bench.dag.block(1, 6, below, payload=heads, admit=False)) == "size"


def test_round_one_names_no_block(bench: Bench):
    signed = bench.dag.block(1, 1, bench.rows[0][:1], time_ms=5, previous_round=0, seq=0)
    assert bench.breaks(signed) == "genesis"


def test_parents_are_valid_blocks_of_the_epoch(bench: Bench):
    below = own_row(bench, 4)
    note = bench.dag.note(0)
    assert bench.breaks(bench.dag.block(1, 6, [*below[:3], note])) == "unknown-parent"
    bench.store.mark_inert(note.ref)
    assert bench.breaks(bench.dag.block(1, 6, [*below[:3], note])) == "inert-parent"


def test_parents_are_of_lower_rounds(bench: Bench):
    peer = bench.accept(bench.dag.block(0, 6, own_row(bench, 4, 0)))
    below = own_row(bench, 4)
    others = [s for s in below if s.vertex.author != peer.vertex.author]
    assert bench.breaks(bench.dag.block(1, 6, [*others, peer])) == "parent-round"


def test_one_parent_per_author(bench: Bench):
    below = own_row(bench, 4)
    assert bench.breaks(bench.dag.block(1, 6, [*below[:3], bench.rows[3][0]])) == "parent-author"


def test_own_previous_block_stands_first(bench: Bench):
    dag, below = bench.dag, own_row(bench, 4)
    assert bench.breaks(dag.block(1, 6, [*below[1:3], below[0]], previous_round=5)) == "previous"
    assert bench.breaks(dag.block(1, 6, below, previous_round=4)) == "previous"
    assert bench.breaks(dag.block(1, 6, below[:1], previous_round=5, count=0)) == "previous"
    assert (
        bench.breaks(dag.block(1, 6, [*below[1:], below[0]], previous_round=0, seq=0)) == "previous"
    )
    restart = dag.block(1, 6, below[1:], previous_round=0, predecessor=below[0], seq=6)
    assert bench.breaks(restart) == "previous"


def test_own_chain_does_not_start_again_behind_an_inert_vertex(bench: Bench):
    dag, below = bench.dag, own_row(bench, 4)
    inert = dag.block(1, 6, below[:1])
    assert bench.breaks(inert) == "quorum"
    bench.store.mark_inert(inert.ref)
    restart = dag.block(1, 6, below[1:], previous_round=0, predecessor=inert, seq=7)
    assert bench.breaks(restart) == "previous"


def test_first_block_of_an_epoch_stands_behind_one_of_the_last(bench: Bench):
    old = bench.dag.block(1, 40, epoch=6, seq=0)
    signed = bench.dag.block(1, 6, own_row(bench, 4)[1:], previous_round=0, predecessor=old, seq=1)
    assert bench.judge(signed).predecessor == old.ref


def test_quorum_is_of_the_round_below(bench: Bench):
    below = own_row(bench, 4)
    assert bench.breaks(bench.dag.block(1, 6, [*below[:2], *bench.rows[3][2:]])) == "quorum"


def test_parents_below_the_floor_count_as_present(bench: Bench):
    below = own_row(bench, 4)
    bench.store.prune(3)
    late = [bench.rows[2][1], *below[1:]]
    assert bench.judge(bench.dag.block(1, 6, late, previous_round=3, seq=3)).round == 6
    bench.store.prune(5)
    assert bench.judge(bench.dag.block(1, 6, below[:1])).round == 6


def test_payload_is_lane_0(bench: Bench):
    below = own_row(bench, 4)
    note = bench.dag.note(0)
    assert bench.judge(bench.dag.block(1, 6, below, payload=[note.ref])).payload == (note.ref,)
    assert bench.breaks(bench.dag.block(1, 6, below, payload=[bench.rows[0][0].ref])) == "payload"


def test_what_a_block_newly_covers_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    dag, below = bench.dag, own_row(bench, 4)
    notes = [dag.note(0) for _ in range(4)]
    signed = dag.block(1, 6, below, payload=[notes[-1].ref])
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", 9)
    bench.judge(signed)  # Four notes and the five profiles they stand on.
    size_bytes = sum(entry.size_bytes for entry in dag.index.iterate() if entry.lane == LANE_SPEECH)
    monkeypatch.setattr(validity, "COVERED_BYTES_MAX", size_bytes - 1)
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", 1_000)
    rule = bench.breaks(dag.block(1, 6, below, payload=dag.builder.speech_heads))
    assert rule == "coverage"
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", 3)
    assert bench.breaks(signed) == "coverage"


def test_blocks_stand_above_what_was_put_away_before_their_epoch(bench: Bench):
    dag = bench.dag
    note = dag.note(1)
    bench.store = BlockStore(dag.committee, floor_lamport=1, epoch_lamport=1)
    assert bench.breaks(dag.block(1, 1, time_ms=5)) == "age"
    assert bench.judge(dag.block(1, 1, payload=[note.ref], time_ms=5)).ref.lamport > 1


def find_release(bench: Bench, signed) -> Release:
    with pytest.raises(InvalidBlock) as caught:
        bench.judge(signed)
    assert caught.value.release is not None
    return caught.value.release


def test_rules_fall_away_where_the_error_says(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """Each breach ends with the floor it names, and not one step before."""
    dag, below = bench.dag, own_row(bench, 4)
    note, inert = dag.note(0), dag.block(0, 1, time_ms=9)
    own, other = bench.rows[1][1], bench.rows[2][0]
    bench.store.mark_inert(inert.ref)
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", 0)
    for signed, release in (
        (dag.block(1, 6, [*below[:3], note]), Release(lamport=note.ref.lamport)),
        (dag.block(1, 6, [*below[:3], inert]), Release(lamport=1)),
        (dag.block(1, 6, [*below[:3], bench.rows[1][0]]), Release(2, 2)),
        (dag.block(1, 6, [own, *below[1:]], previous_round=1, seq=9), Release(2, 2)),
        (dag.block(1, 6, [*below[1:], own], previous_round=0, seq=0), Release(2, 2)),
        (
            dag.block(1, 6, below[1:], previous_round=0, predecessor=other, seq=9),
            Release(3, other.ref.lamport),
        ),
        (
            dag.block(1, 6, below[1:], previous_round=0, predecessor=inert, seq=9),
            Release(lamport=1),
        ),
        (dag.block(1, 6, below, payload=[bench.rows[1][0].ref]), Release(speech_lamport=2)),
        (dag.block(1, 6, below, payload=[note.ref]), Release(1, speech_lamport=note.ref.lamport)),
    ):
        found = find_release(bench, signed)
        assert found._replace(vertex_id=b"") == release
        reached = [0 if limit == COUNTER_MAX else limit for limit in release[:3]]
        bench.store = make_bench_store(bench, [max(limit - 1, 0) for limit in reached], inert)
        assert find_release(bench, signed) == found
        for place, limit in enumerate(reached):
            if limit:
                floors = [limit if at == place else 0 for at in range(3)]
                bench.store = make_bench_store(bench, floors, inert)
                assert bench.judge(signed).round == 6
        bench.store = make_bench_store(bench, [0, 0, 0], inert)


def make_bench_store(bench: Bench, floors: Sequence[int], inert) -> BlockStore:
    store = BlockStore(bench.dag.committee)
    for signed in (signed for row in bench.rows for signed in row):
        store.add(judge_bytes(signed, bench.dag.network, bench.dag.committee))
    store.mark_inert(inert.ref)
    store.prune(*floors)
    return store


def test_quorum_falls_away_as_its_round_is_forgotten(bench: Bench):
    dag, below = bench.dag, own_row(bench, 4)
    thin, lamport = dag.block(1, 6, below[:2]), below[0].ref.lamport
    assert find_release(bench, thin) == Release(round=4, lamport=lamport)
    bench.store.prune(4, 0)
    assert find_release(bench, thin) == Release(round=5, lamport=lamport)
    bench.store.prune(4, lamport)
    assert bench.judge(thin).round == 6
    bare = dag.block(1, 9, time_ms=9)
    assert find_release(bench, bare) == Release(round=7)
    bench.store.prune(8)
    assert bench.judge(bare).round == 9


def test_what_earlier_epochs_ordered_is_not_covered_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    dag, below = bench.dag, own_row(bench, 4)
    note = dag.note(0)
    old = dag.block(2, 90, epoch=6, payload=[note.ref], seq=0)
    fresh = dag.note(0)
    block = judge_bytes(dag.block(1, 6, below, payload=[fresh.ref]), dag.network, dag.committee)
    monkeypatch.setattr(validity, "COVERED_COUNT_MAX", 1)
    judge_ancestors(block, bench.store, dag.index, [old.id])
    with pytest.raises(InvalidBlock, match="coverage"):
        judge_ancestors(block, bench.store, dag.index)


def test_a_first_block_may_name_the_last_leader_for_genesis_and_nothing_else(bench: Bench):
    dag = bench.dag
    leader, other = dag.block(1, 9, epoch=6), dag.block(2, 9, epoch=6)
    store = BlockStore(dag.committee, epoch_lamport=leader.vertex.lamport)
    named = judge_bytes(dag.block(0, 1, [leader]), dag.network, dag.committee)
    judge_ancestors(named, store, dag.index, [other.id, leader.id])
    for ordered in ((), [leader.id, other.id]):
        with pytest.raises(InvalidBlock, match="last leader") as caught:
            judge_ancestors(named, store, dag.index, ordered)
        assert caught.value.rule == "genesis"
        assert caught.value.release is None
    bare = judge_bytes(dag.block(0, 1, time_ms=9), dag.network, dag.committee)
    with pytest.raises(InvalidBlock, match="age"):
        judge_ancestors(bare, store, dag.index, [leader.id])
    assert bench.breaks(dag.block(0, 1, [leader, other])) == "genesis"


def test_nothing_is_named_for_genesis_in_the_first_epoch():
    dag = BlockDag()
    old = dag.block(1, 1)
    with pytest.raises(InvalidBlock, match="derived"):
        judge_bytes(dag.block(0, 1, [old]), dag.network, dag.committee)
