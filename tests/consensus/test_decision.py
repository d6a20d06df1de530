"""One slot at a time. What the rules give on whole lattices is in the cases and the properties."""

from __future__ import annotations

import pytest

from consensus.decision import Slot, Status, decide_by_anchor, decide_directly
from consensus.errors import BrokenFaultBound
from tests.support.lattice import make_block, make_committee, make_store


def test_empty_slot_is_skipped_by_a_quorum_of_the_next_round():
    base = [make_block(author, 1) for author in range(3)]
    voters = [make_block(author, 2, base) for author in range(3)]
    store = make_store(make_committee(4), [*base, *voters[:2]])
    assert decide_directly(store, Slot(1, 0), 3) is None
    store.add(voters[2])
    decision = decide_directly(store, Slot(1, 0), 3)
    assert decision is not None
    assert (decision.status, decision.block, decision.anchor) == (Status.SKIP, None, None)


def test_slot_commits_by_certificates_of_a_quorum():
    rows = [[make_block(author, 1) for author in range(4)]]
    for round_ in (2, 3):
        rows.append([make_block(author, round_, rows[-1]) for author in range(4)])
    store = make_store(make_committee(4), [*rows[0], *rows[1], *rows[2][:2]])
    assert decide_directly(store, Slot(1, 0), 1) is None
    store.add(rows[2][2])
    decision = decide_directly(store, Slot(1, 0), 1)
    assert decision is not None
    assert (decision.status, decision.block) == (Status.COMMIT, rows[0][1])


def test_slot_decided_two_ways_stops_everything():
    """Two liars of four: quorums of votes for both twins."""
    one, twin = make_block(0, 1), make_block(0, 1, variant="a")
    rest = [make_block(author, 1) for author in (1, 2, 3)]
    sides = []
    for side, third in ((one, 2), (twin, 3)):
        votes = [
            make_block(author, 2, [side, *rest], variant=str(third)) for author in (0, 1, third)
        ]
        sides += [
            *votes,
            *(make_block(author, 3, votes, variant=str(third)) for author in (0, 1, third)),
        ]
    store = make_store(make_committee(4), [one, twin, *rest, *sides])
    with pytest.raises(BrokenFaultBound) as caught:
        decide_directly(store, Slot(1, 0), 0)
    assert sorted(caught.value.committed) == sorted((one.id, twin.id))


def test_anchor_that_is_not_held_or_reaches_nothing_skips():
    base = [make_block(author, 1) for author in range(4)]
    store = make_store(make_committee(4), base)
    anchor = make_block(0, 4)
    assert decide_by_anchor(store, Slot(1, 0), 1, anchor).status == Status.SKIP
    store.add(anchor)
    decision = decide_by_anchor(store, Slot(1, 0), 1, anchor)
    assert (decision.status, decision.anchor) == (Status.SKIP, anchor)
    assert decide_by_anchor(make_store(make_committee(4)), Slot(1, 0), 1, anchor).block is None
