"""Plans: what may be asked for, and how time and money are shared out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import CommandRejected
from meshnode.together.plan import Plan, make_plan, seat_peers


def test_nothing_asked_for_is_no_plan():
    assert make_plan(None, None, None) is None


def test_plans_are_what_was_asked_for():
    assert make_plan(3, None, None) == Plan(seats=3, rounds=0, judge="judge")
    assert make_plan(None, 2, "vote") == Plan(seats=2, rounds=2, judge="vote")
    assert make_plan(6, 3, "judge") == Plan(seats=6, rounds=3, judge="judge")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ((1, None, None), "ensemble of 1"),
        ((7, None, None), "ensemble of 7"),
        ((None, 0, None), "debate of 0"),
        ((None, 4, None), "debate of 4"),
        ((2, None, "dice"), "judge is 'dice'"),
        ((None, None, "vote"), "needs no judge"),
    ],
)
def test_what_cannot_be_is_refused(asked, problem):
    with pytest.raises(CommandRejected, match=problem):
        make_plan(*asked)


def test_each_peer_has_a_seat_before_one_has_two():
    assert seat_peers(["a", "b", "c"], 2) == ["a", "b"]
    assert seat_peers(["a", "b"], 5) == ["a", "b", "a", "b", "a"]
    assert seat_peers([], 2) == ["", ""]


def test_time_is_shared_among_the_stages_that_are_left():
    judged = Plan(seats=3, rounds=1, judge="judge")
    assert [judged.share_time_ms(stage, 900) for stage in range(3)] == [300, 450, 900]
    voted = Plan(seats=3, rounds=1, judge="vote")
    assert [voted.share_time_ms(stage, 1_000) for stage in range(2)] == [500, 900]


def test_questions_left_are_counted():
    plan = Plan(seats=3, rounds=2, judge="judge")
    assert [plan.count_queries(stage) for stage in range(4)] == [10, 7, 4, 1]
    assert Plan(seats=3, rounds=0, judge="vote").count_queries(0) == 3


@given(
    st.builds(
        Plan,
        seats=st.integers(2, 6),
        rounds=st.integers(0, 3),
        judge=st.sampled_from(["judge", "vote"]),
    ),
    st.integers(0, 10**9),
)
def test_whatever_is_spent_stays_within_the_whole(plan, total):
    left = total
    for stage in range(plan.stages):
        share = plan.share_spend(stage, left)
        queries = plan.seats if stage <= plan.rounds else 1
        left -= share * queries
    assert left >= 0
