"""Questions end once; late answers are heard, unasked ones are not."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from dag.errors import Offence
from meshnode.core.inputs import Vertices
from tests.support.fetch_bench import Bench, ids


def test_peer_that_never_answers_in_time_is_charged_in_the_end():
    bench = Bench()
    for step in range(40):
        bench.fetching.want("a", ids(1, step), step * 2_000)
        bench.fetching.tick(step * 2_000)
        bench.requests.tick((step + 1) * 2_000)
    assert bench.offences == [("a", Offence.NOT_SERVED)] * 8


def test_peer_that_is_banned_for_one_late_answer_owes_no_further_ones():
    bench = Bench()
    bench.on_offence = bench.requests.drop_peer
    for step in range(20):
        bench.fetching.want("a", ids(256, 256 * step), step * 2_000)
        bench.fetching.tick(step * 2_000)
        bench.requests.tick((step + 1) * 2_000)
    assert bench.offences == [("a", Offence.NOT_SERVED)] * 2
    assert bench.requests.count("a") == 0


@pytest.mark.parametrize("peer", ["b", "a"])
def test_answers_to_others_questions_are_unasked(peer):
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.tick(0)
    bench.gets()
    number = bench.last if peer == "b" else 99
    assert not bench.requests.is_asked(1, peer, Vertices(number, ()))
    assert bench.offences == [(peer, Offence.UNASKED)]


def test_late_answer_ends_the_debt_at_its_last_part():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.tick(0)
    bench.gets()
    bench.requests.tick(2_000)
    for last in (False, True):
        message = Vertices(bench.last, (), (), 0, last)
        assert bench.requests.is_asked(2_100, "a", message)
        bench.requests.answer(2_100, message)
    assert not bench.requests.is_asked(2_200, "a", Vertices(bench.last, ()))


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_holds_no_more_than_was_asked_for(late):
    """Answers are always read, so nothing else may come in their name."""
    bench = Bench()
    bench.fetching.want("a", ids(3), 0)
    bench.fetching.tick(0)
    bench.gets()
    if late:
        bench.requests.tick(2_000)
    full = Vertices(bench.last, (Mock(),) * 3, last=False)
    assert bench.requests.is_asked(2_100, "a", full)
    assert bench.requests.is_asked(2_100, "a", full), "an author's last vertices have two lanes"
    assert bench.offences == []
    assert not bench.requests.is_asked(2_200, "a", Vertices(bench.last, (Mock(),), last=False))
    assert bench.offences == [("a", Offence.UNASKED)]


def test_questions_are_counted_by_peer():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.tick(0)
    assert (bench.requests.count("a"), bench.requests.count("b")) == (1, 0)


def test_answers_queued_behind_other_vertices_are_not_late():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.want("b", ids(1, 7), 0)
    bench.fetching.tick(0)
    bench.requests.note_progress(1_500, "a")
    bench.requests.tick(2_000)
    assert (bench.requests.count("a"), bench.requests.count("b")) == (1, 0)
    bench.requests.tick(3_500)
    assert bench.requests.count("a") == 0


def test_vertices_put_an_answer_off_for_a_while_only():
    bench = Bench()
    bench.fetching.want("a", ids(1), 0)
    bench.fetching.want("b", ids(1), 0)
    bench.fetching.tick(0)
    for now_ms in range(1_000, 61_000, 1_000):
        bench.requests.note_progress(now_ms, "a")
        bench.requests.tick(now_ms)
    assert [peer for peer, _ in bench.gets()] == ["a", "b"]
