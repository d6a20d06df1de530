"""Decisions as a state machine over commits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.committee import Committee, compute_next_committee
from consensus.decisions import (
    CLOSED_MAX,
    DEADLINE_MAX_MS,
    OPEN_MAX,
    OPEN_PER_AUTHOR_MAX,
    Decisions,
)
from dag.bodies import BallotBody, CommitteeChange, IdentityRevocation
from dag.errors import MalformedMessage
from dag.genesis import Validator
from dag.types import LANE_BLOCKS, Kind
from tests.support.dag_builder import START_MS
from tests.support.decision_scene import (
    DecisionScene,
    author,
    expulsion,
    motion,
    question,
    stake,
)

ADD_4 = CommitteeChange((stake(4, 1),))


def get(scene: DecisionScene, proposal: bytes):
    record = scene.decisions.get(proposal)
    assert record is not None
    return record


def test_option_wins_as_soon_as_it_has_more_than_the_threshold():
    scene = DecisionScene(4)
    proposal = scene.put(0, question())
    scene.vote(proposal, 0, 1, option=2, reason="because")
    assert get(scene, proposal).status == "open"
    scene.vote(proposal, 2, option=2)
    record = get(scene, proposal)
    assert (record.status, record.winner, record.closed_at) == ("passed", 2, 3)
    assert record.weights == (0, 0, 3)
    assert record.ballots[0].reason == "because"


def test_ballots_after_the_close_count_nothing():
    scene = DecisionScene(1)
    proposal = scene.put(0, question())
    scene.vote(proposal, 0)
    scene.vote(proposal, 0, option=1)
    assert (get(scene, proposal).weights, scene.decisions.ignored_count) == ((1, 0, 0), 1)


def test_proposal_expires_at_the_first_commit_at_its_deadline():
    scene = DecisionScene(4)
    proposal = scene.put(0, question(deadline_ms=START_MS + 10))
    assert scene.decisions.next_deadline() == START_MS + 10
    scene.commit(at_ms=9)
    assert scene.status(proposal) == "open"
    scene.commit(at_ms=10)
    assert scene.status(proposal) == "expired"
    assert scene.decisions.next_deadline() is None


def test_ballots_of_the_closing_commit_still_count():
    scene = DecisionScene(1)
    proposal = scene.put(0, question(deadline_ms=START_MS + 10))
    scene.vote(proposal, 0, at_ms=10)
    assert scene.status(proposal) == "passed"


def test_next_deadline_is_the_smallest_of_the_open():
    scene = DecisionScene(4)
    for wait_ms in (30, 10, 20):
        scene.put(0, question(deadline_ms=START_MS + wait_ms))
    deadlines = []
    while (due_ms := scene.decisions.next_deadline()) is not None:
        deadlines.append(due_ms - START_MS)
        scene.commit(at_ms=due_ms - START_MS)
    assert deadlines == [10, 20, 30]


def test_members_vote_alike():
    scene = DecisionScene(2)
    scene.commit(scene.say(7, kind=Kind.PROFILE), scene.say(1, kind=Kind.NOTE))
    proposal = scene.put(7, question(electorate="members"))
    scene.vote(proposal, 7, 0)
    assert (get(scene, proposal).total, scene.status(proposal)) == (3, "passed")


def test_action_passes_to_the_replica_once_and_in_order():
    scene = DecisionScene(4)
    scene.commit(scene.say(4, kind=Kind.PROFILE))
    first = scene.put(0, motion(ADD_4))
    second = scene.put(1, motion(CommitteeChange(profile="cft")))
    scene.vote(second, 0, 1, 2)
    scene.vote(first, 0, 1, 2)
    assert scene.decisions.has_change
    change = scene.decisions.take_change()
    assert change == CommitteeChange(profile="cft")
    scene.set_committee(compute_next_committee(scene.committee, change))
    assert scene.decisions.take_change() == ADD_4
    assert not scene.decisions.has_change
    assert scene.decisions.take_change() is None


def test_change_needs_what_the_profile_of_the_day_needs():
    scene = DecisionScene(3)
    low = scene.put(0, motion(CommitteeChange((stake(2, 0),)), threshold=(1, 2)))
    assert "needs more than 2/3" in get(scene, low).reason
    scene.set_committee(Committee(1, scene.committee.validators, "cft"))
    assert scene.decisions.change_threshold == (1, 2)
    half, late = (
        scene.put(number, motion(CommitteeChange((stake(2, weight),)), threshold=(1, 2)))
        for number, weight in ((0, 0), (1, 5))
    )
    scene.vote(half, 0, 1)
    assert scene.status(half) == "passed"
    scene.set_committee(Committee(2, scene.committee.validators, "bft3"))
    scene.vote(late, 0, 1)
    assert (scene.status(late), get(scene, late).weights) == ("open", (2, 0))
    scene.vote(late, 2)
    assert scene.status(late) == "passed"


def test_no_over_an_action_is_a_failure():
    scene = DecisionScene(4)
    scene.commit(scene.say(4, kind=Kind.PROFILE))
    proposal = scene.put(0, motion(ADD_4))
    scene.vote(proposal, 0, 1, 2, option=1)
    assert (get(scene, proposal).status, get(scene, proposal).winner) == ("failed", 1)
    assert scene.decisions.take_change() is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (ADD_4, "is no member"),
        (CommitteeChange((stake(9, 0),)), "is no validator"),
        (CommitteeChange((stake(0, 0), stake(0, 1))), "once"),
        (CommitteeChange(tuple(stake(i, 0) for i in range(4))), "1 to 128"),
        (CommitteeChange((stake(0, 1),)), "changes nothing"),
        (CommitteeChange((stake(0, 2**63 - 1),)), "is above"),
    ],
)
def test_action_is_invalid_when_it_makes_no_committee(change: CommitteeChange, why: str):
    scene = DecisionScene(4)
    record = get(scene, scene.put(0, motion(change)))
    assert record.status == "invalid"
    assert why in record.reason


def test_action_is_invalid_when_it_fits_no_more_at_its_passing():
    scene = DecisionScene(4)
    proposal = scene.put(0, motion(CommitteeChange((stake(3, 0),))))
    scene.set_committee(Committee(1, [Validator(author(i), 1) for i in range(3)]))
    scene.vote(proposal, 0, 1, 2)
    record = get(scene, proposal)
    assert (record.status, "is no validator" in record.reason) == ("invalid", True)


def test_action_is_dropped_when_it_fits_no_more_at_its_turn():
    scene = DecisionScene(4)
    change = CommitteeChange((stake(3, 0),))
    proposals = [scene.put(number, motion(change)) for number in (0, 1)]
    for proposal in proposals:
        scene.vote(proposal, 0, 1, 2)
    assert scene.decisions.take_change() == change
    scene.set_committee(compute_next_committee(scene.committee, change))
    assert scene.decisions.take_change() is None
    assert [scene.status(proposal) for proposal in proposals] == ["passed", "invalid"]


def test_stake_weighs_anew_when_an_epoch_begins():
    scene = DecisionScene(4)
    proposal = scene.put(0, question())
    scene.vote(proposal, 0, option=1)
    scene.set_committee(
        Committee(1, [Validator(author(0), 5), *(Validator(author(i), 1) for i in (1, 2, 3))])
    )
    scene.commit()
    assert (scene.status(proposal), get(scene, proposal).total) == ("passed", 8)


def test_whoever_has_a_vote_is_told_its_weight():
    scene = DecisionScene(2, stakes=(3, 1))
    weights = [scene.decisions.weigh(question(), author(number)) for number in (0, 1, 2)]
    assert weights == [3, 1, 0]
    assert scene.decisions.weigh(question(electorate="members"), author(1)) == 1


def test_whoever_has_not_answered_is_waited_for():
    scene = DecisionScene(2)
    first = scene.put(0, question(electorate="members"))
    scene.put(0, question())
    scene.vote(first, 1)
    scene.commit(scene.say(2, kind=Kind.NOTE))
    waiting = [scene.decisions.count_unanswered(author(number)) for number in range(4)]
    assert waiting == [2, 1, 1, 0]


@pytest.mark.parametrize("wait_ms", [0, DEADLINE_MAX_MS + 1])
def test_proposal_is_rejected_when_its_deadline_is_not_to_be_waited_for(wait_ms: int):
    scene = DecisionScene(4)
    record = get(scene, scene.put(0, question(deadline_ms=START_MS + wait_ms)))
    assert record.status == "rejected"
    assert "deadline" in record.reason


def test_an_authors_open_proposals_are_bounded():
    scene = DecisionScene(4)
    proposals = [scene.put(0, question()) for _ in range(OPEN_PER_AUTHOR_MAX + 1)]
    assert scene.status(proposals[0]) == "open"
    assert get(scene, proposals[-1]).reason == "its proposer has 20 open proposals"
    assert scene.status(scene.put(1, question())) == "open"


def test_guests_fill_their_places_and_never_those_of_validators():
    scene = DecisionScene(1)
    guests = range(1, OPEN_MAX // OPEN_PER_AUTHOR_MAX + 2)
    scene.commit(
        *(scene.say(guest, question()) for guest in guests for _ in range(OPEN_PER_AUTHOR_MAX)),
    )
    records = scene.decisions.list_proposals()
    assert [record.status for record in records].count("open") == OPEN_MAX
    assert scene.status(scene.put(0, question())) == "open"


def test_closed_proposals_are_bounded_and_refusals_never_push_out_results():
    scene = DecisionScene(1)
    passed = scene.put(0, question())
    scene.vote(passed, 0)
    late = question(deadline_ms=START_MS)
    first = scene.put(0, late)
    scene.commit(*(scene.say(0, late) for _ in range(CLOSED_MAX)))
    assert len(scene.decisions.list_proposals()) == CLOSED_MAX
    assert (scene.status(passed), scene.status(first)) == ("passed", "")


def test_oldest_result_goes_when_all_are_results():
    scene = DecisionScene(1)
    for _ in range(CLOSED_MAX // OPEN_PER_AUTHOR_MAX + 1):
        proposals = [scene.say(0, question()) for _ in range(OPEN_PER_AUTHOR_MAX)]
        votes = [scene.say(0, BallotBody(signed.id, 0)) for signed in proposals]
        scene.commit(*proposals, *votes)
    records = scene.decisions.list_proposals()
    assert len(records) == CLOSED_MAX
    assert records[0].opened_at == 2


def test_dropped_change_of_a_forgotten_proposal_leaves_no_trace():
    scene = DecisionScene(1)
    change = CommitteeChange((stake(0, 2),))
    proposal = scene.put(0, motion(change))
    scene.vote(proposal, 0)
    for _ in range(CLOSED_MAX // OPEN_PER_AUTHOR_MAX):
        proposals = [scene.say(0, question()) for _ in range(OPEN_PER_AUTHOR_MAX)]
        scene.commit(*proposals, *(scene.say(0, BallotBody(item.id, 0)) for item in proposals))
    scene.set_committee(Committee(1, [Validator(author(0), 2)]))
    assert scene.decisions.take_change() is None
    assert scene.status(proposal) == ""


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        question("only one"),
        BallotBody(bytes(32), 0),
        BallotBody(b"short", 0),
    ],
)
def test_body_without_effect_is_counted(body):
    scene = DecisionScene(4)
    scene.commit(scene.say(0, body))
    assert (scene.decisions.ignored_count, scene.decisions.list_proposals()) == (1, ())


def test_ballot_without_a_vote_or_an_option_is_counted():
    scene = DecisionScene(4)
    proposal = scene.put(0, question())
    scene.vote(proposal, 9)
    scene.vote(proposal, 0, option=3)
    assert (get(scene, proposal).ballots, scene.decisions.ignored_count) == ((), 2)


def test_first_of_a_forked_slot_counts_and_blocks_count_nothing():
    scene = DecisionScene(4)
    proposal = scene.put(0, question())
    scene.vote(proposal, 1)
    scene.commit(scene.say(1, BallotBody(proposal, 2), seq=0))
    scene.commit(scene.say(2, BallotBody(proposal, 2), lane=LANE_BLOCKS))
    assert get(scene, proposal).weights == (1, 0, 0)
    assert scene.decisions.ignored_count == 1


def test_invited_validator_finds_no_place_when_its_inviter_has_none_left():
    scene = DecisionScene(4)
    for _ in range(OPEN_PER_AUTHOR_MAX):
        scene.put(0, question())
    assert scene.status(scene.join(4, 0)) == "rejected"


def test_damaged_snapshot_is_refused_and_changes_nothing():
    scene = DecisionScene(4)
    scene.put(0, question())
    before = scene.decisions.root()
    with pytest.raises(MalformedMessage):
        scene.decisions.restore(b"\x90")
    assert scene.decisions.root() == before


# --- whatever comes ---------------------------------------------------------------------------

_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.integers(0, 5),
            st.sampled_from(["stake", "members"]),
            st.integers(1, 40),
        ),
        st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)),
        st.tuples(st.just("vote"), st.integers(0, 5), st.integers(0, 8), st.integers(0, 3)),
        st.tuples(st.just("join"), st.integers(4, 8), st.integers(0, 4), st.integers(0, 1)),
        st.tuples(st.just("expel"), st.integers(0, 5), st.integers(0, 6), st.integers(0, 3)),
        st.tuples(st.just("leave"), st.integers(0, 6), st.none(), st.none()),
        st.tuples(st.just("junk"), st.integers(0, 5), st.binary(max_size=12), st.integers(0, 7)),
        st.tuples(st.just("wait"), st.integers(1, 15), st.none(), st.none()),
        st.tuples(st.just("take"), st.none(), st.none(), st.none()),
    ),
    max_size=40,
)


class _Run:
    """One history, played on a scene and as commits that can be played again."""

    def __init__(self) -> None:
        self.scene = DecisionScene(4, stakes=(3, 1, 1, 1))
        self.proposals: list[bytes] = []
        self.now_ms = 0
        self.first_committee = self.scene.committee
        self.takes: list[int] = []
        """After how many commits a change was asked for."""

    def step(self, name, first, second, third) -> None:
        scene = self.scene
        match name:
            case "put":
                body = question(deadline_ms=START_MS + self.now_ms + third, electorate=second)
                self.proposals.append(scene.put(first, body, at_ms=self.now_ms))
            case "move":
                change = CommitteeChange((stake(second, third),))
                self.proposals.append(scene.put(first, motion(change), at_ms=self.now_ms))
            case "vote" if self.proposals:
                proposal = self.proposals[second % len(self.proposals)]
                scene.vote(proposal, first, option=third, reason="r", at_ms=self.now_ms)
            case "join":
                self.proposals.append(
                    scene.join(first, second, bearer=first + third, at_ms=self.now_ms)
                )
            case "expel":
                expelled = expulsion(second, deadline_ms=START_MS + self.now_ms + third)
                self.proposals.append(scene.put(first, expelled, at_ms=self.now_ms))
            case "leave":
                word = IdentityRevocation("gone")
                scene.commit(scene.say(first, word, kind=Kind.MEMBERSHIP), at_ms=self.now_ms)
            case "junk":
                scene.commit(scene.say(first, second, kind=third), at_ms=self.now_ms)
            case "wait":
                self.now_ms += first
                scene.commit(at_ms=self.now_ms)
            case "take":
                self.take()
            case _:
                pass

    def take(self) -> None:
        self.takes.append(len(self.scene.commits))
        self.scene.set_committee(take(self.scene.decisions, self.scene.committee))


def take(decisions: Decisions, committee: Committee) -> Committee:
    """Begin the epoch that the next passed change asks for, if any."""
    change = decisions.take_change()
    return committee if change is None else compute_next_committee(committee, change)


@given(_STEPS, st.integers(0, 40))
def test_any_history_gives_one_state_and_goes_on_from_any_snapshot(steps, cut: int):
    run = _Run()
    for step in steps:
        run.step(*step)
        for record in run.scene.decisions.list_proposals():
            assert sum(record.weights) <= record.total
    first = make_again(run)
    second = make_again(run, cut)
    assert first.roll.root() == second.roll.root() == run.scene.roll.root()
    one, other = first.decisions, second.decisions
    assert one.root() == other.root() == run.scene.decisions.root()
    assert one.next_deadline() == other.next_deadline() == run.scene.decisions.next_deadline()
    assert one.list_proposals() == other.list_proposals()


def make_again(run: _Run, cut: int | None = None) -> DecisionScene:
    """Play the commits again, and begin anew from a snapshot after one of them."""
    committee = run.first_committee
    scene = DecisionScene(4)
    scene.set_committee(committee)
    for count in range(len(run.scene.commits) + 1):
        if count:
            scene.fold(*run.scene.commits[count - 1])
        for _ in range(run.takes.count(count)):
            committee = take(scene.decisions, committee)
            scene.set_committee(committee)
        if count == cut:
            again = DecisionScene(4)
            again.roll.restore(scene.roll.snapshot())
            again.decisions.restore(scene.decisions.snapshot())
            again.set_committee(committee)
            assert again.decisions.root() == scene.decisions.root()
            scene = again
    return scene


def test_request_of_who_has_a_seat_has_no_effect():
    scene = DecisionScene(3)
    before = scene.decisions.ignored_count
    assert scene.status(scene.join(1, 0)) == ""
    assert scene.decisions.ignored_count == before + 1
