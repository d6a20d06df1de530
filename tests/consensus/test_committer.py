"""The prefix of decided slots, handed out one by one."""

from __future__ import annotations

from consensus.committer import Committer
from consensus.decision import Slot, Status
from consensus.leader import FixedSchedule, RoundRobin
from tests.support.lattice import make_block, make_committee, make_store


class Turning(FixedSchedule):
    """Leader of round r is (r + shift) mod 4; tests turn the shift."""

    def __init__(self) -> None:
        self.shift = 0

    def get_leaders(self, round_):
        return ((round_ + self.shift) % 4,)

    def observe(self, leader, blocks, digest):
        return False


def full(rounds: int):
    rows = [[make_block(author, 1) for author in range(4)]]
    for round_ in range(2, rounds + 1):
        rows.append([make_block(author, round_, rows[-1]) for author in range(4)])
    return [block for row in rows for block in row]


def drain(committer: Committer) -> list[Slot]:
    taken = []
    while (decision := committer.take_next()) is not None:
        taken.append(decision.slot)
    return taken


def test_cursor_counts_rounds_and_offsets():
    committee = make_committee(4)
    schedule = RoundRobin(committee, leaders_per_round=2)
    committer = Committer(make_store(committee, full(4)), schedule)
    assert committer.cursor == (1, 0)
    assert drain(committer) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert committer.cursor == (3, 0)
    assert [decision.slot for decision in committer.list_pending()] == [(3, 0), (3, 1)]
    assert committer.undecided_count == 2


def test_committer_goes_on_from_a_cursor():
    committee = make_committee(4)
    committer = Committer(make_store(committee, full(6)), RoundRobin(committee), cursor=Slot(3, 0))
    assert drain(committer) == [(3, 0), (4, 0)]


def test_old_blocks_and_decided_rounds_are_not_looked_at_again():
    committee = make_committee(4)
    store = make_store(committee, full(5))
    committer = Committer(store, RoundRobin(committee))
    assert drain(committer) == [(1, 0), (2, 0), (3, 0)]
    late = make_block(0, 2, variant="late")
    store.add(late)
    committer.touch(late)
    assert drain(committer) == []


def test_forgotten_decisions_are_made_again_under_the_new_leaders():
    schedule = Turning()
    committer = Committer(make_store(make_committee(4), full(8)), schedule)
    first = committer.take_next()
    assert first is not None
    assert first.author == 1
    assert committer.list_pending()[0].author == 2
    schedule.shift = 1
    committer.forget_decisions()
    assert [decision.author for decision in committer.list_pending()] == [3, 0, 1, 2, 3, 0]
    taken = [committer.take_next() for _ in range(5)]
    assert [decision.author for decision in taken if decision] == [3, 0, 1, 2, 3]
    assert all(decision.status == Status.COMMIT for decision in taken if decision)


def test_nothing_is_handed_out_of_an_empty_store():
    committee = make_committee(4)
    committer = Committer(make_store(committee), RoundRobin(committee))
    assert drain(committer) == []
    assert committer.list_pending() == ()
