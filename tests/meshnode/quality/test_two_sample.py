"""Piles of answers of one model, and of two."""

from __future__ import annotations

import random

import pytest

from meshnode.quality.two_sample import compare_piles


def make_pile(letters: str, seed: int, size: int = 10) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(letters, k=40)) for _ in range(size)]


def test_piles_of_two_models_are_told_apart():
    likeness = compare_piles([make_pile("aab", 1)], [make_pile("abb", 2)], seed=b"s")
    assert likeness.is_rare(one_in=100)
    assert (likeness.as_different, likeness.looks) == (1, 200)


def test_piles_of_one_model_are_seldom_suspected():
    suspected = 0
    for trial in range(40):
        pair = [[make_pile("aab", 2 * trial + side)] for side in (0, 1)]
        suspected += compare_piles(*pair, seed=b"s", rounds=59).is_rare(one_in=20)
    assert suspected <= 6


def test_result_follows_from_the_seed():
    piles = [make_pile("aab", 1)], [make_pile("aab", 2)]
    assert compare_piles(*piles, seed=b"s") == compare_piles(*piles, seed=b"s")


def test_questions_count_together_and_sizes_may_differ():
    first = [make_pile("aab", 1, 6), make_pile("ccd", 2, 6)]
    second = [make_pile("aab", 3, 9), make_pile("cdd", 4, 9)]
    assert compare_piles(first, second, seed=b"s").is_rare(one_in=20)


def test_same_answers_everywhere_are_no_difference():
    assert compare_piles([["a"] * 3], [["a"] * 3], seed=b"s").as_different == 200


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], []),
        ([["a", "b"]], []),
        ([["a"]], [["a", "b"]]),
        ([["a"] * 257], [["a"] * 257]),
        ([["a", "b"], ["a", "b", "c"]], [["a", "b"], ["a", "b"]]),
    ],
)
def test_piles_that_cannot_be_compared_are_refused(first, second):
    with pytest.raises(ValueError, match="pile"):
        compare_piles(first, second, seed=b"s")
