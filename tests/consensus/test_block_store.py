"""Slots, twins, support and reachability, kept while blocks arrive."""

from __future__ import annotations

import msgspec
import pytest

from consensus.block import Block
from consensus.block_store import BlockStore
from dag.types import COUNTER_MAX, Ref
from tests.support.lattice import make_block, make_committee, make_store


def full(rounds: int, members: int = 4) -> list[list[Block]]:
    rows: list[list[Block]] = []
    for round_ in range(1, rounds + 1):
        below = rows[-1] if rows else []
        rows.append([
            make_block(author, round_, [*below[author:], *below[:author]])
            for author in range(members)
        ])  # fmt: skip
    return rows


def flat(rows: list[list[Block]]) -> list[Block]:
    return [block for row in rows for block in row]


def node(store: BlockStore, block: Block):
    found = store.get_node(block.id)
    assert found is not None
    return found


def test_votes_are_counted_by_author():
    rows = full(1)
    voters = [make_block(author, 2, rows[0][:3]) for author in range(4)]
    store = make_store(make_committee(4), [*rows[0], *voters, make_block(0, 2, rows[0][1:])])
    assert node(store, rows[0][0]).voters == 0b1111
    assert node(store, rows[0][3]).voters == 0b0001
    assert store.collect_blamers(node(store, rows[0][3])) == 0b1111
    assert store.collect_blamers(node(store, rows[0][0])) == 0b0001
    assert store.collect_blamers(node(store, rows[0][1])) == 0


def test_of_two_parents_in_a_slot_the_first_is_the_vote():
    one, twin = make_block(0, 1), make_block(0, 1, variant="a")
    voter = make_block(1, 2, [twin, one])
    store = make_store(make_committee(4), [one, twin, voter])
    assert (node(store, one).voters, node(store, twin).voters) == (0, 0b10)
    assert node(store, voter).votes_for(node(store, twin))
    assert not node(store, voter).votes_for(node(store, one))
    assert not node(store, twin).votes_for(node(store, one))


def test_slot_holds_twins_by_ascending_id():
    twins = [make_block(2, 1, variant=letter) for letter in "abc"]
    store = make_store(make_committee(4), [make_block(0, 1), *twins])
    ids = [held.block.id for held in store.get_slot(1, 2)]
    assert ids == sorted(block.id for block in twins)
    assert [block.id for block in store.get_round(1)][1:] == ids
    assert (store.get_authors(1), store.get_authors(2), store.get_slot(1, 3)) == (0b101, 0, ())
    assert (len(store), store.highest_round) == (4, 1)


def test_certificate_stands_in_one_block_alone():
    base = full(1)[0]
    good = [make_block(author, 2, base) for author in range(3)]
    bad = make_block(0, 2, base[1:], variant="bad")
    certificate = make_block(1, 3, good)
    thin = make_block(2, 3, good[:2])
    mixed = make_block(3, 3, [bad, *good[1:]])
    store = make_store(make_committee(4), [*base, *good, bad, certificate, thin, mixed])
    candidate = node(store, base[0])
    verdicts = [
        store.certifies(node(store, block), candidate) for block in (certificate, thin, mixed)
    ]
    assert verdicts == [True, False, False]
    assert store.collect_certifiers(candidate) == 0b0010
    assert store.collect_certifiers(candidate) == 0b0010


def test_at_wave_two_a_vote_certifies():
    base = full(1, 3)[0]
    voter, other = make_block(0, 2, base), make_block(1, 2, base[1:])
    store = make_store(make_committee(3, "cft"), [*base, voter, other])
    candidate = node(store, base[0])
    assert store.collect_certifiers(candidate) == 0b001
    assert store.certifies(node(store, voter), candidate)
    assert not store.certifies(node(store, other), candidate)


def test_history_is_what_the_anchor_reaches():
    rows = full(4)
    lonely = make_block(0, 2, rows[0][:3], variant="lonely")
    store = make_store(make_committee(4), [*flat(rows), lonely])
    found = store.collect_history(node(store, rows[3][0]), 2)
    assert sorted(held.block.id for held in found) == sorted(block.id for block in rows[1])


def test_long_chains_need_no_deep_stack():
    committee = make_committee(1)
    chain = [make_block(0, 1)]
    for round_ in range(2, 5_000):
        chain.append(make_block(0, round_, chain[-1:]))
    store = make_store(committee, chain)
    assert [held.block for held in store.collect_history(node(store, chain[-1]), 1)] == chain[:1]


def test_pruned_rounds_are_forgotten_and_count_as_present():
    rows = full(5)
    store = make_store(make_committee(4), flat(rows))
    store.mark_inert(make_block(0, 1, variant="inert").ref)
    young = make_block(0, 5, rows[3], variant="inert")
    store.mark_inert(young.ref)
    store.prune(2, 1)
    assert (store.floor, store.floor_lamport, len(store)) == (2, 1, 12)
    assert store.get(rows[1][0].id) is None
    assert store.is_below_floor(rows[1][0].ref)
    assert not store.is_below_floor(make_block(0, 2, rows[0], variant="unknown").ref)
    assert not store.is_below_floor(rows[2][0].ref)
    assert not store.is_below_floor(make_block(1, 5, rows[3], variant="new").ref)
    assert store.is_inert(young.id)
    assert not store.is_inert(make_block(0, 1, variant="inert").id)
    late = make_block(0, 2, rows[0], variant="late")
    assert store.add(late) is None
    assert store.is_below_floor(late.ref)
    store.prune(1, 0)
    assert (store.floor, store.floor_lamport) == (2, 1)
    store.prune(9, 3)
    assert (len(store), store.highest_round) == (0, 9)
    assert store.is_below_floor(rows[4][0].ref)
    assert store.is_below_floor(make_block(0, 3, rows[1], variant="unknown").ref)
    assert not store.is_below_floor(make_block(0, 5, rows[3], variant="unknown").ref)


def test_floor_may_rise_by_any_number_of_rounds():
    store = make_store(make_committee(4), flat(full(3)))
    store.prune(COUNTER_MAX, COUNTER_MAX)
    assert (len(store), store.floor, store.highest_round) == (0, COUNTER_MAX, COUNTER_MAX)


def test_block_is_added_once():
    block = make_block(0, 1)
    store = make_store(make_committee(1), [block])
    with pytest.raises(AssertionError, match="once"):
        store.add(block)


def test_reference_with_a_false_lamport_leads_nowhere():
    """It counts as present where it claims to lie below the floor, whoever holds what it names."""
    rows = full(3)
    leader = rows[1][0]
    false = Ref(1, leader.id)
    store = make_store(make_committee(4), flat(rows[:2]))
    assert store.find(false) is None
    assert store.find(leader.ref) is leader
    bare = msgspec.structs.replace(make_block(3, 3), parents=(false,))
    store.add(bare)
    assert node(store, leader).voters == 0
    assert store.collect_history(node(store, bare), 1) == []
    store.prune(2)
    assert store.is_below_floor(leader.ref)
    assert not store.is_below_floor(false)
