"""Whoever asks about ranges gets the truth, within bounds that no question can move."""

from __future__ import annotations

import random

import pytest

from dag.errors import Offence
from dag.ranges import (
    END,
    FINGERPRINT_BYTES,
    LEAF_REFS_MAX,
    PARTS_MAX,
    START,
    cut_ref,
    make_lamport_bound,
    split_cut_refs,
)
from dag.types import Ref
from meshnode.core.admission import FRAME_BYTES_MAX
from meshnode.core.messages import RANGES_ASKED_MAX, Range, Ranges, encode_message
from meshnode.core.range_answers import (
    ASKERS_MAX,
    FULL_RANGE_GAP_MS,
    FULL_RANGE_MIN,
    ROUNDS_MAX,
    SESSION_GAP_MS,
)
from tests.support.horizons import level
from tests.support.range_pair import Answerer, Growth, Shelf

OTHER = bytes(FINGERPRINT_BYTES)
NOTHING = ()


def make_shelf(count: int, *, seed: int = 1, horizon: int = 0) -> Shelf:
    return Shelf(Growth(random.Random(seed)).grow(count), level(horizon))


def ask_all(session: int = 1, fingerprint: bytes = OTHER) -> Ranges:
    return Ranges(session, False, START, (Range(END, fingerprint),))


def test_equal_range_is_answered_with_nothing():
    shelf = make_shelf(100)
    fingerprint = shelf.ranges.compute_fingerprint(START, END)
    answer = Answerer(shelf).ask(ask_all(7, fingerprint))
    assert answer == Ranges(7, True, b"", NOTHING)
    assert len(encode_message(answer)) < 10


def test_small_range_is_answered_with_all_it_holds():
    # One range alone may be answered with 16 times its few bytes: that is less than a leaf.
    shelf = make_shelf(16)
    answer = Answerer(shelf).ask(ask_all())
    (item,) = answer.ranges
    assert split_cut_refs(item.data or b"") == [
        cut_ref(ref) for ref in shelf.ranges.iterate(START, END)
    ]


def test_leaf_without_room_is_cut_in_two():
    answer = Answerer(make_shelf(LEAF_REFS_MAX)).ask(ask_all())
    assert [len(item.data or b"") for item in answer.ranges] == [FINGERPRINT_BYTES] * 2


def test_large_range_is_answered_with_the_fingerprints_of_its_parts():
    shelf = make_shelf(2_000)
    answer = Answerer(shelf).ask(ask_all())
    assert 8 <= len(answer.ranges) <= PARTS_MAX
    assert answer.ranges[-1].upper == END
    lower = START
    for item in answer.ranges:
        assert item.data == shelf.ranges.compute_fingerprint(lower, item.upper)
        lower = item.upper


def test_equal_ranges_between_others_are_one_gap():
    shelf = make_shelf(2_000)
    bounds = [make_lamport_bound(lamport) for lamport in (5, 10, 15, 20, 25)]
    items, lower = [], START
    for number, upper in enumerate(bounds):
        fingerprint = shelf.ranges.compute_fingerprint(lower, upper)
        items.append(Range(upper, OTHER if number in (0, 4) else fingerprint))
        lower = upper
    items[2] = Range(bounds[2], None)
    answer = Answerer(shelf).ask(Ranges(1, False, START, tuple(items)))
    assert [item.upper for item in answer.ranges if item.data is None] == [bounds[3]]
    assert answer.ranges[-1].upper == bounds[4]


def test_pruned_history_counts_as_equal():
    shelf = make_shelf(2_000, horizon=20)
    floor = make_lamport_bound(21)
    below = Ranges(1, False, START, (Range(make_lamport_bound(15), OTHER),))
    assert Answerer(shelf).ask(below).ranges == NOTHING
    across = Answerer(shelf).ask(ask_all())
    assert across.ranges[0] == Range(floor, None)
    assert across.ranges[1].upper > floor


def test_answer_is_at_most_sixteen_times_its_question_and_one_frame():
    shelf = make_shelf(20_000)
    bounds = (*shelf.ranges.split(START, END), END)
    worst = 0.0
    for count in range(1, len(bounds) + 1):
        question = Ranges(1, False, START, tuple(Range(bound, OTHER) for bound in bounds[:count]))
        answer = Answerer(shelf).ask(question)
        worst = max(worst, len(encode_message(answer)) / len(encode_message(question)))
    assert 8 < worst <= 16
    many = [Range(make_lamport_bound(8 * number), OTHER) for number in range(1, 512)]
    assert len(many) < RANGES_ASKED_MAX
    answer = Answerer(shelf).ask(Ranges(1, False, START, tuple(many)))
    assert 50_000 < len(encode_message(answer)) <= FRAME_BYTES_MAX


def test_answer_of_many_tiny_parts_ends_before_its_limit():
    # Empty leaves between equal ranges take the fewest bytes, and so are the most.
    shelf = make_shelf(20_000)
    bounds = [make_lamport_bound(10_000 + number) for number in range(RANGES_ASKED_MAX)]
    question = Ranges(1, False, bounds[0], tuple(Range(bound, OTHER) for bound in bounds[1:]))
    answer = Answerer(shelf).ask(question)
    assert [item.data for item in answer.ranges] == [b""] * (RANGES_ASKED_MAX - 1)


def test_answer_ends_at_its_limit_of_ranges(monkeypatch):
    monkeypatch.setattr("meshnode.core.range_answers.RANGES_ANSWERED_MAX", 20)
    shelf = make_shelf(2_000)
    middle = shelf.ranges.split(START, END)[7]
    answer = Answerer(shelf).ask(Ranges(1, False, START, (Range(middle, OTHER), Range(END, OTHER))))
    assert answer.ranges[-1].upper == middle


def test_ids_that_begin_alike_are_named_once():
    alike = [Ref(1, bytes(16) + bytes([number]) * 16) for number in range(4)]
    answer = Answerer(Shelf(alike)).ask(ask_all())
    assert answer.ranges == (Range(END, cut_ref(alike[0])),)


def test_question_without_ranges_is_answered_with_nothing():
    assert Answerer(make_shelf(10)).ask(Ranges(1, False, START, ())).ranges == NOTHING


def test_ninth_question_of_a_session_is_charged_and_not_answered():
    answerer = Answerer(make_shelf(10))
    for _ in range(ROUNDS_MAX):
        assert answerer.ask(ask_all()).ranges
    assert answerer.offences == []
    answerer.answers.on_question(0, "a", ask_all())
    assert answerer.outbox.take() == []
    assert answerer.offences == [Offence.FLOOD]


def test_sessions_begin_a_second_apart_and_two_stay_open():
    answerer = Answerer(make_shelf(10))
    assert answerer.ask(ask_all(1)).ranges
    assert not answerer.ask(ask_all(2), now_ms=SESSION_GAP_MS - 1).ranges
    now_ms = 2 * SESSION_GAP_MS
    assert answerer.ask(ask_all(2), now_ms=now_ms).ranges
    assert answerer.ask(ask_all(1), now_ms=now_ms).ranges
    assert answerer.ask(ask_all(3), now_ms=2 * now_ms).ranges
    # The first was let go for the third, and begins anew: too early.
    assert not answerer.ask(ask_all(1), now_ms=2 * now_ms).ranges
    assert answerer.ask(ask_all(1), peer="b", now_ms=2 * now_ms).ranges


@pytest.mark.parametrize("reconnects", [False, True])
def test_most_of_a_large_store_is_asked_about_once_in_ten_minutes(reconnects):
    answerer = Answerer(make_shelf(FULL_RANGE_MIN + 1))
    assert answerer.ask(ask_all(1)).ranges
    assert answerer.ask(ask_all(1)).ranges
    if reconnects:
        answerer.answers.drop_peer("a")
        answerer.answers.drop_peer("unknown")
    now_ms = FULL_RANGE_GAP_MS - 1
    assert not answerer.ask(ask_all(2), now_ms=now_ms).ranges
    recent = make_lamport_bound(40)
    part = Ranges(3, False, recent, (Range(END, OTHER),))
    assert answerer.ask(part, now_ms=2 * now_ms).ranges
    assert answerer.ask(ask_all(4), now_ms=4 * now_ms).ranges


def test_peers_whose_questions_are_remembered_are_bounded():
    answerer = Answerer(make_shelf(FULL_RANGE_MIN + 1))
    for number in range(ASKERS_MAX + 1):
        assert answerer.ask(ask_all(), peer=f"peer-{number}").ranges
    assert answerer.ask(ask_all(2), peer="peer-0", now_ms=SESSION_GAP_MS).ranges
    assert not answerer.ask(ask_all(2), peer="peer-9", now_ms=SESSION_GAP_MS).ranges
