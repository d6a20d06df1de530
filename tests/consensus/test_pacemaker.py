"""When blocks are made: cases B01 to B08, R04 to R06, quiet meshes and waking up."""

from __future__ import annotations

import pytest

from consensus.block import Block
from consensus.committee import Committee
from consensus.leader import RoundRobin
from consensus.pacemaker import Pacemaker, PacemakerSettings
from consensus.proposal import Proposal
from dag.genesis import Validator
from dag.types import Ref
from tests.support.lattice import make_block, make_committee, make_ordering

SETTINGS = PacemakerSettings(leader_timeout_ms=400, minimum_delay_ms=50, stale_ms=2_000)
PAYLOAD = (Ref(1, bytes(32)),)
ALL = 0b1111
NOW_MS = 10_000


class Scene:
    """One validator with its ordering, at a time that the test moves."""

    def __init__(self, members=4, profile="bft3", author=0, *, must_ask=False, payload=True):
        self.author = author
        self.committee = make_committee(members, profile)
        schedule = RoundRobin(self.committee)
        self.ordering = make_ordering(self.committee, schedule, gc_depth=20)
        self.now_ms = NOW_MS
        self.pacemaker = Pacemaker(
            self.ordering,
            schedule,
            author,
            settings=SETTINGS,
            now_ms=self.now_ms,
            must_ask=must_ask,
        )
        self.commits = []
        self.pacemaker.on_connected(self.now_ms, (1 << members) - 1)
        self.pacemaker.on_payload(is_waiting=payload)

    def take(self, *blocks):
        """Blocks arrive."""
        for block in blocks:
            self.ordering.insert(block)
            self.pacemaker.on_block(self.now_ms, block)
            self._advance()

    def propose(self) -> Proposal:
        """The block that is due, which is not made."""
        proposal = self.pacemaker.propose(self.now_ms)
        assert proposal is not None
        return proposal

    def make(self, *, payload=()):
        """Make the block that is due; answers it, or None."""
        proposal = self.pacemaker.propose(self.now_ms)
        if proposal is None:
            return None
        block = make_block(
            self.author, proposal.round, proposal.parents, time_ms=self.now_ms, payload=payload
        )
        self.ordering.insert(block)
        self.pacemaker.on_own(self.now_ms, block)
        self._advance()
        return block

    def make_all(self):
        """Make blocks until none is due; answers their rounds."""
        rounds = []
        while (block := self.make()) is not None:
            rounds.append(block.round)
        return rounds

    def _advance(self):
        for _, commit in self.ordering.advance():
            if commit is not None:
                self.commits.append(commit)
                self.pacemaker.on_commit(self.now_ms, commit)

    def build_round(self, round_, authors, parents, payload=()):
        """Blocks of a round by others, on these parents, made now."""
        return [
            make_block(
                author,
                round_,
                sorted(parents, key=lambda one: one.author != author),
                time_ms=self.now_ms,
                payload=payload,
            )
            for author in authors
        ]

    def play(self, rounds, authors=(1, 2, 3), start=()):
        """This validator and others make so many rounds, one every 100 ms."""
        below = list(start)
        for _ in range(rounds):
            mine = self.make()
            made = self.build_round(mine.round, authors, below)
            self.take(*made)
            below = [mine, *made]
            self.now_ms += 100
        return below


def test_first_block_is_made_at_once():
    scene = Scene()
    assert scene.pacemaker.next_deadline(NOW_MS) == NOW_MS
    proposal = scene.propose()
    assert (proposal.round, proposal.previous_round, proposal.parents) == (1, 0, ())


def test_block_is_made_once_nothing_is_missing_below():  # B01
    scene = Scene()
    scene.play(3)
    block = scene.make()
    assert block.round == 4
    assert scene.pacemaker.own_round == 4


def test_minimum_delay_keeps_two_own_blocks_apart():
    scene = Scene()
    own = scene.make()
    first = scene.build_round(1, (1, 2, 3), [])
    scene.take(*first)
    assert scene.pacemaker.next_deadline(NOW_MS) == NOW_MS + 50
    scene.now_ms += 49
    assert scene.make() is None
    scene.now_ms += 1
    assert scene.make().parents == (own.ref, *(block.ref for block in first))


def test_leader_is_waited_for_until_the_timeout():  # B02, B03
    scene = Scene()
    scene.make()
    scene.now_ms += 100
    scene.take(*scene.build_round(1, (2, 3), []))
    assert scene.pacemaker.entered_round == 2
    assert scene.make() is None
    assert scene.pacemaker.next_deadline(scene.now_ms) == scene.now_ms + 400
    scene.now_ms += 399
    assert scene.make() is None
    scene.now_ms += 1
    assert scene.make().round == 2


def test_leader_that_comes_ends_the_wait():
    scene = Scene()
    scene.make()
    scene.now_ms += 100
    scene.take(*scene.build_round(1, (2, 3), []))
    assert scene.make() is None
    scene.take(*scene.build_round(1, (1,), []))
    assert scene.make().round == 2


def test_quorum_that_goes_ahead_is_followed_at_once():  # B04
    scene = Scene()
    own = scene.make()
    first = scene.build_round(1, (1, 2, 3), [])
    second = scene.build_round(2, (1, 2, 3), first)
    scene.take(first[1], first[2])
    assert scene.make() is None, "the leader is missing"
    scene.take(first[0], second[0], second[1])
    assert scene.make() is None, "no quorum is ahead, and the minimum delay has not passed"
    scene.take(second[2])
    assert scene.make().parents[0] == own.ref


def test_missed_rounds_are_made_as_far_as_slots_are_undecided():  # B05
    scene = Scene()
    own = scene.make()
    below = [own, *scene.build_round(1, (1, 2, 3), [])]
    scene.take(*below[1:])
    # No block votes for a leader of the last two rounds, so nothing there is decided at once.
    for round_ in range(2, 9):
        voted = [one for one in below if round_ < 4 or one.author != (round_ - 1) % 4 or one is own]
        below = scene.build_round(round_, (1, 2, 3), voted if len(voted) > 2 else below)
        scene.take(*below)
    cursor = scene.ordering.cursor.round
    assert cursor > 2
    assert scene.make_all() == list(range(cursor, 9))


def test_own_block_that_completes_the_quorum_enters_the_next_round():  # B07
    scene = Scene()
    scene.take(*scene.build_round(1, (1, 2), []))
    assert scene.pacemaker.entered_round == 1
    scene.now_ms += 5
    scene.make()
    assert scene.pacemaker.entered_round == 2
    assert scene.pacemaker.next_deadline(scene.now_ms) == scene.now_ms + 50


def test_lone_validator_goes_on_alone():
    scene = Scene(members=1)
    for expected in range(1, 6):
        assert scene.make().round == expected
        assert scene.make() is None
        scene.now_ms += 50
    assert len(scene.commits) == 3


def test_no_block_is_made_without_a_connected_quorum():  # B08
    scene = Scene()
    scene.pacemaker.on_connected(NOW_MS, 0b0010)
    assert not scene.pacemaker.is_connected
    assert scene.make() is None
    assert scene.pacemaker.next_deadline(NOW_MS) is None
    scene.pacemaker.on_connected(NOW_MS, 0b0110)
    assert scene.make().round == 1


def test_one_proposal_stands_until_it_is_made_or_abandoned():
    scene = Scene()
    assert scene.pacemaker.propose(NOW_MS) is not None
    assert scene.pacemaker.propose(NOW_MS) is None
    assert scene.pacemaker.next_deadline(NOW_MS) is None
    scene.pacemaker.on_abandoned()
    assert scene.propose().round == 1


# --- quiet meshes ---------------------------------------------------------------------------------


def test_mesh_without_payload_makes_no_blocks():
    scene = Scene(payload=False)
    assert scene.make() is None
    assert scene.pacemaker.next_deadline(NOW_MS) is None


def test_rounds_go_on_until_the_last_payload_is_ordered():
    scene = Scene(payload=False)
    first = scene.build_round(1, (1, 2, 3), [], payload=PAYLOAD)
    scene.take(*first)
    rounds, below = [], first
    while (mine := scene.make()) is not None:
        rounds.append(mine.round)
        if mine.round > 1:
            below = scene.build_round(mine.round, (1, 2, 3), below)
            scene.take(*below)
        below = [mine, *below]
        scene.now_ms += 100
    assert rounds == [1, 2, 3, 4]
    # The first leader puts out its own block, the next one those beside it.
    assert len(scene.commits) == 2
    assert scene.pacemaker.next_deadline(scene.now_ms) is None


def test_sleeper_is_woken_by_a_block_of_a_higher_round():
    scene = Scene(payload=False)
    scene.take(*scene.build_round(1, (1,), []))
    assert scene.make().round == 1
    scene.now_ms += 1_000
    assert scene.make() is None


def test_waking_mesh_refers_to_payload_once_blocks_show_fresh_times():
    scene = Scene()
    assert not scene.propose().references_payload, "genesis has no time"
    scene.pacemaker.on_abandoned()
    below = scene.play(4)
    scene.pacemaker.on_payload(is_waiting=False)
    scene.now_ms += 60_000
    scene.pacemaker.on_payload(is_waiting=True)
    stale = scene.propose()
    assert not stale.references_payload
    scene.pacemaker.on_abandoned()
    scene.play(1, start=below)
    fresh = scene.propose()
    assert (fresh.round, fresh.references_payload) == (stale.round + 1, True)


@pytest.mark.parametrize(
    ("behind_ms", "refers"), [(2_000, True), (2_001, False), (-2_000, True), (-2_001, False)]
)
def test_median_decides_what_is_fresh(behind_ms, refers):
    scene = Scene()
    scene.make()
    scene.now_ms += 50
    others = [make_block(one, 1, time_ms=scene.now_ms - behind_ms) for one in (1, 2, 3)]
    scene.take(*others)
    assert scene.propose().references_payload is refers


def test_block_without_waiting_payload_refers_to_none():
    scene = Scene(payload=False)
    scene.pacemaker.on_deadline(NOW_MS)
    scene.play(1)
    assert not scene.propose().references_payload


def test_deadline_wakes_the_mesh_until_a_commit_reaches_its_time():
    scene = Scene(payload=False)
    due_ms = NOW_MS + 1_000
    scene.pacemaker.on_deadline(due_ms)
    assert scene.make() is None
    assert scene.pacemaker.next_deadline(NOW_MS) == due_ms
    scene.now_ms = due_ms
    below: list[Block] = []
    while (mine := scene.make()) is not None:
        made = scene.build_round(mine.round, (1, 2, 3), below)
        scene.take(*made)
        below = [mine, *made]
        scene.now_ms += 100
    assert scene.commits[-1].time_ms >= due_ms
    assert scene.commits[-2].time_ms < due_ms
    assert scene.pacemaker.next_deadline(scene.now_ms) is None


def test_blocks_below_the_horizon_keep_nobody_awake():
    scene = Scene()
    below = scene.play(40)
    assert scene.ordering.horizon > 1
    scene.pacemaker.on_payload(is_waiting=False)
    late = make_block(3, 1, variant="late", payload=PAYLOAD)
    scene.ordering.insert(late)
    scene.pacemaker.on_block(scene.now_ms, late)
    assert not scene.pacemaker.is_awake(scene.now_ms)
    assert below[0].round == scene.pacemaker.own_round


# --- recovery -------------------------------------------------------------------------------------


def test_restarted_validator_waits_for_more_than_the_faulty_to_answer():  # R06
    scene = Scene(must_ask=True)
    assert scene.pacemaker.is_recovering
    assert scene.make() is None
    scene.pacemaker.on_answered(NOW_MS, 0)
    scene.pacemaker.on_answered(NOW_MS, 1)
    assert scene.make() is None
    scene.pacemaker.on_answered(NOW_MS, 2)
    assert not scene.pacemaker.is_recovering
    assert scene.make().round == 1


@pytest.mark.parametrize("own_known", [0, 2])
def test_restarted_validator_builds_above_its_own_last_block(own_known):  # R04, R05
    before = Scene()
    before.play(5)
    blocks = [block for round_ in range(1, 6) for block in before.ordering.store.get_round(round_)]
    scene = Scene(must_ask=True)
    own = [block for block in blocks if block.author == 0]
    scene.take(*(block for block in blocks if block.round <= own_known))
    scene.take(*(block for block in blocks if block.round > own_known))
    for author in (1, 2):
        scene.pacemaker.on_answered(NOW_MS, author)
    block = scene.make()
    assert (block.round, block.parents[0]) == (6, own[-1].ref)


def test_older_own_block_that_comes_later_changes_nothing():
    scene = Scene(must_ask=True)
    first = scene.build_round(1, (0, 1, 2, 3), [])
    second = scene.build_round(2, (0,), first[1:])
    scene.take(*first[1:], *second, first[0])
    assert scene.pacemaker.own_round == 2
    assert not scene.pacemaker.is_stopped


def test_lone_validator_asks_nobody_and_goes_on_from_its_log():
    scene = Scene(members=1, must_ask=True)
    assert not scene.pacemaker.is_recovering
    own = make_block(0, 1)
    scene.take(own)
    assert scene.make().parents == (own.ref,)


def test_foreign_block_under_the_own_keys_stops_the_validator_for_ever():
    scene = Scene()
    scene.make()
    scene.take(make_block(0, 1, variant="elsewhere"))
    assert scene.pacemaker.is_stopped
    assert scene.make() is None
    assert scene.pacemaker.next_deadline(NOW_MS) is None


def test_foreign_block_under_the_own_keys_stops_the_validator_while_it_makes_one():
    scene = Scene()
    scene.pacemaker.propose(NOW_MS)
    scene.take(make_block(0, 1, variant="elsewhere"))
    assert scene.pacemaker.is_stopped


def test_own_twins_found_while_recovering_stop_the_validator():
    scene = Scene(must_ask=True)
    scene.take(make_block(0, 1), make_block(0, 1, variant="twin"))
    assert scene.pacemaker.is_stopped


def test_crash_profile_needs_answers_of_more_than_may_be_silent():
    scene = Scene(members=5, profile="cft", must_ask=True)
    for author in (1, 2):
        scene.pacemaker.on_answered(NOW_MS, author)
    assert scene.pacemaker.is_recovering
    scene.pacemaker.on_answered(NOW_MS, 3)
    assert not scene.pacemaker.is_recovering


@pytest.mark.parametrize(("members", "author"), [(3, 1), (5, 4)])
def test_those_who_must_be_live_are_enough_after_a_while(members, author):
    scene = Scene(members=members, profile="cft", must_ask=True)
    assert scene.pacemaker.next_deadline(scene.now_ms) is None
    if members == 5:
        scene.pacemaker.on_answered(NOW_MS, 3)
    scene.pacemaker.on_answered(NOW_MS, author)
    assert scene.pacemaker.next_deadline(scene.now_ms) == NOW_MS + SETTINGS.recovery_ms
    scene.now_ms += SETTINGS.recovery_ms - 1
    assert scene.make() is None
    scene.now_ms += 1
    assert scene.make().round == 1
    assert not scene.pacemaker.is_recovering


def test_largest_validator_recovers_while_all_that_may_be_silent_are():
    """Of stakes 3, 3 and 4 the largest hears from 3 at most, where more than 3 may be faulty."""
    committee = Committee(
        0, [Validator(bytes([i]) * 32, stake) for i, stake in enumerate((3, 3, 4))]
    )
    schedule = RoundRobin(committee)
    pacemaker = Pacemaker(
        make_ordering(committee, schedule, gc_depth=20), schedule, 2, now_ms=NOW_MS
    )
    pacemaker.on_answered(NOW_MS, 1)
    assert pacemaker.is_recovering
    assert pacemaker.propose(NOW_MS + SETTINGS.recovery_ms) is None
    assert not pacemaker.is_recovering


def test_who_has_replayed_its_log_waits_from_its_start_on():
    """A largest validator, made at time 0, before anybody knows what time it is."""
    committee = Committee(0, [Validator(bytes([i]) * 32, stake) for i, stake in enumerate((1, 3))])
    schedule = RoundRobin(committee)
    pacemaker = Pacemaker(make_ordering(committee, schedule, gc_depth=20), schedule, 1, now_ms=0)
    pacemaker.on_started(NOW_MS)
    pacemaker.propose(NOW_MS + SETTINGS.recovery_ms - 1)
    assert pacemaker.is_recovering
    pacemaker.propose(NOW_MS + SETTINGS.recovery_ms)
    assert not pacemaker.is_recovering
