"""Votes: what counts as one answer, who wins, and that the order of arrival changes nothing."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.together.voting import normalise, vote


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Paris", " paris. "),
        ("**Paris**", "Paris"),
        ("It is so.\nAnswer: 42", "Because of this\n\n**Final answer:** 42."),
        ("a  b\nc", "A b C"),
        ("\uff11\uff12", "12"),
    ],
)
def test_answers_that_say_the_same_count_as_one(first, second):
    assert normalise(first) == normalise(second)


def test_only_a_last_line_states_the_answer():
    assert normalise("Answer: 1\nor rather 2") == "answer: 1 or rather 2"
    assert normalise("") == ""


def test_the_largest_group_wins_and_its_first_seat_speaks():
    ballot = vote(["Rome", "paris", "Paris."])
    assert (ballot.winner, ballot.votes, ballot.voters, ballot.tied) == (1, 2, 3, False)
    assert ballot.groups == ((1, 2), (0,))


def test_of_equal_groups_the_one_most_like_the_rest_wins():
    ballot = vote(["zebras are black", "the sky is blue today", "the sky is blue now"])
    assert ballot.tied
    assert ballot.groups[0] != (0,)


def test_of_groups_equal_in_all_the_first_of_the_alphabet_wins():
    assert vote(["b", "a"]).winner == 1
    assert vote(["b", "a", "b", "a"]).winner == 1


def test_a_single_answer_wins():
    ballot = vote(["x"])
    assert (ballot.winner, ballot.votes, ballot.tied) == (0, 1, False)


@given(st.lists(st.sampled_from(["a", "A.", "b", "b c", "c b", ""]), min_size=1, max_size=4))
def test_the_order_of_answers_changes_nothing(answers):
    won = {normalise(each[vote(each).winner]) for each in permutations(answers)}
    assert len(won) == 1
