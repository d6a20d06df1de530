"""Questions with known answers."""

from __future__ import annotations

from meshnode.quality.canaries import (
    CANARIES_MAX,
    Canary,
    is_right,
    make_canaries,
    misses_too_often,
)


def test_canaries_follow_from_their_seed_alone():
    assert make_canaries(b"a", 12) == make_canaries(b"a", 12)
    assert make_canaries(b"a", 12) != make_canaries(b"b", 12)
    assert make_canaries(b"a", 5) == make_canaries(b"a", 12)[:5]


def test_canaries_are_bounded_and_of_every_sort():
    canaries = make_canaries(b"a", 1_000)
    assert len(canaries) == CANARIES_MAX
    assert {len(each.expected) for each in canaries} == {1, 3}
    assert any(each.expected[0].isdigit() for each in canaries)
    assert len({each.question for each in canaries}) > CANARIES_MAX // 2


def test_answer_is_right_when_it_holds_every_word():
    canary = Canary("Repeat these words: river music.", ("river", "music"))
    assert is_right(canary, "Music, and a RIVER!")
    assert not is_right(canary, "Musical rivers")
    assert not is_right(canary, "river")


def test_sum_is_right_as_a_number_of_its_own():
    canary = Canary("What is 3 + 4?", ("7",))
    assert is_right(canary, "It is 7.")
    assert not is_right(canary, "It is 17.")


def test_misses_are_suspected_only_beyond_chance():
    # Of ten at nine in ten, five or more misses have a chance of 0.16 %, six of 0.015 %.
    assert not misses_too_often(5, 10, 9_000)
    assert misses_too_often(6, 10, 9_000)
    assert not misses_too_often(10, 10, 3_000)
