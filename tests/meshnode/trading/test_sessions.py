"""Which contracts have a stream, and since when not."""

from __future__ import annotations

from meshnode.trading.bell import Bell
from meshnode.trading.sessions import Sessions

A, B = b"a", b"b"


def test_stream_is_live_until_it_ends():
    now = [100]
    sessions = Sessions(Bell(), lambda: now[0])
    sessions.begin(A)
    assert sessions.is_live(A)
    assert sessions.any_live
    now[0] = 130
    assert sessions.count_quiet_ms(A) == 30
    sessions.end(A)
    assert not sessions.is_live(A)
    assert not sessions.any_live
    assert sessions.is_released(A)
    assert sessions.count_quiet_ms(A) == 0


def test_quiet_begins_with_the_first_look_and_anew_with_every_post():
    now = [100]
    sessions = Sessions(Bell(), lambda: now[0])
    assert sessions.count_quiet_ms(A) == 0
    now[0] = 150
    assert sessions.count_quiet_ms(A) == 50
    sessions.note_posted(A)
    assert sessions.count_quiet_ms(A) == 0


def test_only_contracts_that_are_live_somewhere_are_remembered():
    sessions = Sessions(Bell(), lambda: 0)
    for each in (A, B):
        sessions.release(each)
    sessions.begin(B)
    sessions.keep({})
    assert not sessions.is_released(A)
    assert sessions.is_released(B)
    sessions.keep({A: None})
    assert sessions.is_live(B)
