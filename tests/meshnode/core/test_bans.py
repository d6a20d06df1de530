"""Bans end by themselves, are kept over restarts, and are bounded."""

from __future__ import annotations

from meshnode.core.bans import BANS_MAX, Bans, name_author
from meshnode.core.effects import Persist, StoreValue
from meshnode.core.outbox import Outbox


def test_ban_holds_until_its_time_and_only_grows():
    bans = Bans(Outbox(), b"")
    bans.add("a", 100)
    bans.add("a", 50)
    assert bans.get_until(99, "a") == 100
    assert bans.get_until(100, "a") == 0
    assert bans.get_until(0, "a") == 0
    assert bans.get_until(0, "b") == 0


def test_bans_are_stored_and_read_back():
    outbox = Outbox()
    Bans(outbox, b"").add("a", 100)
    (effect,) = outbox.take()
    assert isinstance(effect, Persist)
    assert isinstance(effect.record, StoreValue)
    assert Bans(Outbox(), effect.record.value).get_until(1, "a") == 100


def test_bans_of_passing_keys_do_not_push_out_those_of_authors():
    bans = Bans(Outbox(), b"")
    author = name_author(bytes(32))
    bans.add(author, 1)
    for number in range(BANS_MAX + 1):
        bans.add(f"p{number}", 1_000)
    assert bans.get_until(0, author) == 1


def test_ban_that_ends_first_makes_room():
    bans = Bans(Outbox(), b"")
    for number in range(BANS_MAX + 1):
        bans.add(f"p{number}", 1_000 - number)
    assert bans.get_until(1, "p0") == 1_000
    assert bans.get_until(1, f"p{BANS_MAX}") == 0
