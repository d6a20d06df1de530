"""A session finds what differs in few bytes and rounds, and ends whatever it is answered."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dag.ranges import (
    CUT_REF_BYTES,
    END,
    FINGERPRINT_BYTES,
    START,
    cut_ref,
)
from dag.types import Ref
from meshnode.core.messages import Range, Ranges
from meshnode.core.range_answers import ROUNDS_MAX
from meshnode.core.range_session import FOUND_MAX, RangeSession
from tests.support.hostile_ranges import claim_nothing, name_nothing, split_evenly
from tests.support.range_pair import Answerer, Growth, RangePair, Shelf

QUESTION_BYTES_MAX = 24_000
ANSWER_BYTES_MAX = 60_000


@pytest.mark.parametrize(
    ("differing", "bytes_max", "round_trips_max"),
    [
        (0, 1.5 * 367, 0.5),
        (1, 1.5 * 823, 1.5 * 2),
        (10, 1.5 * 872, 1.5),
        (100, 1.5 * 3_041, 1.5 * 2),
        (1_000, 1.5 * 21_000, 1.5 * 2),
    ],
)
def test_differences_are_found_in_few_bytes_and_rounds(differing, bytes_max, round_trips_max):
    pair = RangePair.build(2_000, differing)
    session = pair.compare()
    assert session.is_settled
    assert len(session.needed) + len(session.lacked) == differing
    assert pair.size_bytes <= bytes_max
    assert pair.round_trips <= round_trips_max


def union(pair: RangePair) -> tuple[set[Ref], set[Ref]]:
    """Both stores after what was found was exchanged."""
    asking = set(pair.asking.ranges.iterate(START, END))
    answering = set(pair.answering.ranges.iterate(START, END))
    found = [pair.answering.ranges.find(name) for name in pair.session.needed]
    return asking | {ref for ref in found if ref is not None}, answering | set(
        pair.session.lacked.values()
    )


@settings(max_examples=60, deadline=None)
@given(
    common=st.integers(0, 300),
    ours=st.integers(0, 200),
    theirs=st.integers(0, 200),
    authors=st.integers(1, 40),
    seed=st.integers(0, 1_000),
)
def test_closed_stores_are_equal_after_a_session(common, ours, theirs, authors, seed):
    growth = Growth(random.Random(seed), authors=authors)
    refs = growth.grow(common)
    pair = RangePair(
        Shelf([*refs, *growth.part(seed + 1).grow(ours)]),
        Shelf([*refs, *growth.part(seed + 2).grow(theirs)]),
    )
    session = pair.compare()
    asking, answering = union(pair)
    assert session.is_settled
    assert asking == answering


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 100), st.integers(0, 100))
def test_any_subsets_are_equal_after_a_session(seed, share, other_share):
    chance = random.Random(seed)
    refs = Growth(chance).grow(600)
    pair = RangePair(
        Shelf([ref for ref in refs if chance.randrange(100) < share]),
        Shelf([ref for ref in refs if chance.randrange(100) < other_share]),
    )
    pair.compare()
    asking, answering = union(pair)
    assert asking == answering


def test_deep_news_need_more_than_one_frame_and_are_all_found():
    pair = RangePair.build(200, 20_000)
    session = pair.compare()
    assert session.is_settled
    assert len(session.needed) == len(session.lacked) == 10_000
    assert pair.round_trips <= ROUNDS_MAX


# --- hostile answers --------------------------------------------------------------------------------


def run(pair: RangePair, answer) -> RangeSession:
    session = pair.compare(answer)
    assert session.rounds <= ROUNDS_MAX
    assert pair.size_bytes <= ROUNDS_MAX * (QUESTION_BYTES_MAX + ANSWER_BYTES_MAX)
    assert session.ask() is None
    return session


@pytest.mark.parametrize("parts", [1, 16, 2_000])
def test_random_fingerprints_and_endless_splits_cost_eight_rounds(parts):
    chance = random.Random(3)
    pair = RangePair.build(2_000, 0)
    session = run(pair, lambda question: split_evenly(question, parts, chance))
    assert session.rounds == ROUNDS_MAX
    assert not session.needed
    assert not session.lacked


def test_names_of_nothing_are_bounded():
    chance = random.Random(4)
    pair = RangePair.build(2_000, 0)

    pair.asking = Shelf()
    session = run(pair, lambda question: name_nothing(question, chance))
    assert len(session.needed) <= min(FOUND_MAX, ROUNDS_MAX * ANSWER_BYTES_MAX // CUT_REF_BYTES)


def test_found_differences_are_bounded(monkeypatch):
    monkeypatch.setattr("meshnode.core.range_session.FOUND_MAX", 10)
    pair = RangePair.build(100, 100)
    session = pair.compare()
    assert len(session.needed) == len(session.lacked) == 10


def test_claim_to_hold_nothing_is_bounded():
    pair = RangePair.build(FOUND_MAX + 100, 0)
    pair.lower = START
    session = run(pair, claim_nothing)
    assert len(session.lacked) == FOUND_MAX
    assert pair.size_bytes < 1_000


def first_question(count: int = 200) -> tuple[RangeSession, Ranges]:
    shelf = Shelf(Growth(random.Random(1)).grow(count))
    session = RangeSession(shelf.ranges, 1, START)
    question = session.ask()
    assert question is not None
    return session, question


def test_answer_that_begins_elsewhere_is_refused():
    session, question = first_question()
    moved = Ranges(1, True, b"\x00", (question.ranges[0],))
    assert not session.take(moved)


def test_answer_without_a_question_is_refused():
    session, _ = first_question()
    assert session.take(Ranges(1, True, b"", ()))
    assert session.is_settled
    assert not session.take(Ranges(1, True, b"", ()))


def test_answer_about_other_ranges_is_refused():
    session, question = first_question()
    wide = Range(question.ranges[1].upper, bytes(FINGERPRINT_BYTES))
    assert not session.take(Ranges(1, True, START, (wide,)))
    session, question = first_question()
    beyond = Ranges(1, True, START, (Range(END, None),))
    session.take(beyond)
    assert session.is_settled


def test_answer_behind_all_questions_is_refused():
    pair = RangePair.build(300, 0)
    session = RangeSession(pair.asking.ranges, 1, START)
    first = session.ask()
    assert first is not None
    # Only the first range differs, so that the second question ends there.
    differing = Range(first.ranges[0].upper, bytes(FINGERPRINT_BYTES))
    session.take(Ranges(1, True, START, (differing, Range(END, None))))
    second = session.ask()
    assert second is not None
    answer = (Range(second.ranges[-1].upper, None), Range(END, bytes(FINGERPRINT_BYTES)))
    assert not session.take(Ranges(1, True, START, answer))


def test_rest_of_a_short_answer_is_asked_again():
    session, question = first_question()
    session.take(Ranges(1, True, START, (Range(question.ranges[0].upper, None),)))
    again = session.ask()
    assert again is not None
    assert again.lower == question.ranges[0].upper
    assert again.ranges[-1].upper == END


def test_second_question_leaves_out_what_is_equal():
    pair = RangePair.build(2_000, 0)
    for ref in (Ref(1, bytes(32)), Ref(12, bytes(32))):
        pair.answering.ranges.add(ref)
    answerer = Answerer(pair.answering)
    pair.lower = START
    asked: list[Ranges] = []

    def answer(question: Ranges) -> Ranges:
        asked.append(question)
        return answerer.ask(question)

    session = pair.compare(answer)
    assert list(session.needed) == [
        cut_ref(Ref(1, bytes(32))),
        cut_ref(Ref(12, bytes(32))),
    ]
    assert any(item.data is None for question in asked[1:] for item in question.ranges)
