"""An author is taken in at its pace; what it says beyond waits, bounded, and in order."""

from __future__ import annotations

import pytest

from dag.identity import VerifiedVertex
from meshnode.core import author_pace
from meshnode.core.author_pace import (
    AUTHOR_WAITING_MAX,
    DEBT_MAX,
    FORKED_FACTOR,
    NEWS_BURST,
    NEWS_GAP_MS,
    AuthorPace,
    Waiting,
)
from tests.support.dag_builder import DagBuilder

NOW_MS = 1_700_000_000_000


def make_notes(count: int, author: int = 1) -> list[VerifiedVertex]:
    builder = DagBuilder(authors=3).profiles()
    return [builder.vertex(author, parents=()) for _ in range(count)]


def admit(
    pace: AuthorPace,
    notes: list[VerifiedVertex],
    *,
    now_ms: int = NOW_MS,
    is_news: bool = True,
    is_forked: bool = False,
) -> int:
    """Offer notes of a peer; answers how many are let in."""
    return sum(
        pace.admit(now_ms, "peer", note, is_news=is_news, is_forked=is_forked) for note in notes
    )


def list_notes(taken: list[Waiting]) -> list[VerifiedVertex]:
    assert {source for source, _ in taken} <= {"peer"}
    return [signed for _, signed in taken]


def test_author_has_its_burst_and_then_its_rate_in_order():
    notes = make_notes(NEWS_BURST + 3)
    pace = AuthorPace()
    assert pace.next_deadline() is None
    assert admit(pace, notes) == NEWS_BURST
    assert len(pace) == 3
    assert notes[-1].id in pace
    assert notes[0].id not in pace
    assert pace.next_deadline() == NOW_MS + NEWS_GAP_MS
    assert pace.take_due(NOW_MS) == []
    assert list_notes(pace.take_due(NOW_MS + NEWS_GAP_MS)) == notes[-3:-2]
    assert pace.next_deadline() == NOW_MS + 2 * NEWS_GAP_MS
    assert list_notes(pace.take_due(NOW_MS + 10 * NEWS_GAP_MS)) == notes[-2:]
    assert pace.next_deadline() is None


def test_others_are_not_held_up():
    pace = AuthorPace()
    admit(pace, make_notes(NEWS_BURST + 9))
    assert admit(pace, make_notes(9, author=2)) == 9


def test_what_waits_already_waits_once_and_room_is_bounded():
    notes = make_notes(NEWS_BURST + AUTHOR_WAITING_MAX + 5)
    pace = AuthorPace()
    admit(pace, notes)
    assert len(pace) == AUTHOR_WAITING_MAX
    admit(pace, notes[NEWS_BURST:])
    assert len(pace) == AUTHOR_WAITING_MAX
    assert notes[-1].id not in pace


def test_room_for_all_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(author_pace, "WAITING_MAX", 2)
    pace = AuthorPace()
    admit(pace, make_notes(NEWS_BURST + 5))
    assert len(pace) == 2


def test_history_comes_faster_than_news_but_not_past_what_waits():
    pace = AuthorPace()
    notes = make_notes(NEWS_BURST + 50)
    assert admit(pace, notes, is_news=False) == len(notes)
    news = make_notes(NEWS_BURST + 1, author=2)
    admit(pace, news[:-1])
    assert admit(pace, news[-1:], is_news=False) == 1
    pace = AuthorPace()
    admit(pace, news)
    assert admit(pace, make_notes(NEWS_BURST + 2, author=2)[-1:], is_news=False) == 0
    assert len(pace) == 2


def test_author_that_forked_has_a_tenth():
    pace = AuthorPace()
    notes = make_notes(NEWS_BURST)
    assert admit(pace, notes, is_forked=True) == NEWS_BURST // FORKED_FACTOR
    assert pace.next_deadline() == NOW_MS + NEWS_GAP_MS * FORKED_FACTOR


def test_what_is_needed_comes_at_once_with_what_was_said_before_and_is_paid_for():
    notes = make_notes(NEWS_BURST + 20)
    pace = AuthorPace()
    admit(pace, notes)
    needed = (notes[NEWS_BURST + 4].ref, notes[0].ref)
    assert list_notes(pace.release(NOW_MS, needed)) == notes[NEWS_BURST : NEWS_BURST + 5]
    assert pace.take_due(NOW_MS + 5 * NEWS_GAP_MS) == []
    assert list_notes(pace.take_due(NOW_MS + 6 * NEWS_GAP_MS)) == [notes[NEWS_BURST + 5]]


def test_whoever_calls_for_much_gets_only_what_the_author_can_pay_for():
    notes = make_notes(NEWS_BURST + AUTHOR_WAITING_MAX)
    pace = AuthorPace()
    admit(pace, notes)
    taken = pace.release(NOW_MS, (notes[-1].ref,))
    assert DEBT_MAX <= len(taken) <= DEBT_MAX + 1
    assert notes[-1].id in pace
    assert pace.release(NOW_MS, (notes[-1].ref,)) == []


def test_all_that_waited_may_be_called_for_before_its_turn():
    notes = make_notes(NEWS_BURST + 2)
    pace = AuthorPace()
    admit(pace, notes)
    pace.release(NOW_MS, (notes[-1].ref,))
    assert len(pace) == 0
    assert pace.take_due(pace.next_deadline() or 0) == []
    assert pace.next_deadline() is None
    more = make_notes(NEWS_BURST + 4)[-2:]
    assert admit(pace, more) == 0
    assert len(pace) == 2


def test_authors_that_say_little_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(author_pace, "SHARES_MAX", 1)
    pace = AuthorPace()
    admit(pace, make_notes(NEWS_BURST))
    assert admit(pace, make_notes(1, author=2)) == 1
    assert admit(pace, make_notes(NEWS_BURST + 1)[-1:]) == 0, "it is remembered while it owes"
    later_ms = NOW_MS + 1_000_000
    pace.take_due(later_ms)
    assert admit(pace, make_notes(1, author=0), now_ms=later_ms + 1_000_000) == 1
    assert admit(pace, make_notes(NEWS_BURST), now_ms=later_ms + 1_000_000) == NEWS_BURST
