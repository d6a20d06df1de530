"""Who asked for somebody's blocks is sent them for a while."""

from __future__ import annotations

from meshnode.core.relays import AUTHORS_MAX, RELAY_MS, Relays


def test_who_asked_is_sent_what_the_author_says_until_time_is_up():
    relays = Relays()
    relays.note_asked(1_000, "a", b"x")
    relays.note_asked(2_000, "b", b"x")
    relays.note_asked(2_000, "b", b"y")
    assert relays.list_receivers(2_000, b"x") == ["a", "b"]
    assert relays.list_receivers(2_000, b"y") == ["b"]
    assert relays.list_receivers(2_000, b"z") == []
    assert relays.list_receivers(1_000 + RELAY_MS, b"x") == ["b"]
    relays.drop_peer("b")
    relays.drop_peer("b")
    assert relays.list_receivers(2_000, b"x") == ["a"]


def test_asking_again_begins_anew():
    relays = Relays()
    relays.note_asked(0, "a", b"x")
    relays.note_asked(500, "a", b"x")
    assert relays.list_receivers(RELAY_MS, b"x") == ["a"]


def test_authors_of_one_peer_are_bounded_and_the_oldest_goes():
    relays = Relays()
    for number in range(AUTHORS_MAX):
        relays.note_asked(0, "a", b"%d" % number)
    relays.note_asked(1, "a", b"0")
    relays.note_asked(1, "a", b"new")
    assert relays.list_receivers(1, b"1") == []
    assert relays.list_receivers(1, b"0") == ["a"]
