"""A quota domain waits as a whole, for as long as it was told to, within bounds."""

from __future__ import annotations

from meshnode.routing.cooldown import COOLDOWN_MS, COOLDOWN_MS_MAX, Cooldowns


def test_cooldown_lasts_as_long_as_it_was_told():
    cooldowns = Cooldowns()
    cooldowns.start("a", 3_000, now_ms=0, is_load=False)
    assert cooldowns.wait_ms("a", 1_000) == 2_000
    assert cooldowns.wait_ms("a", 3_000) == 0
    assert cooldowns.wait_ms("b", 0) == 0


def test_cooldown_is_bounded_and_has_a_default():
    cooldowns = Cooldowns()
    cooldowns.start("a", 10**9, now_ms=0, is_load=False)
    cooldowns.start("b", 0, now_ms=0, is_load=False)
    assert cooldowns.wait_ms("a", 0) == COOLDOWN_MS_MAX
    assert cooldowns.wait_ms("b", 0) == COOLDOWN_MS


def test_cooldown_is_not_shortened_by_another_refusal():
    cooldowns = Cooldowns()
    cooldowns.start("a", 5_000, now_ms=0, is_load=False)
    cooldowns.start("a", 1_000, now_ms=0, is_load=True)
    assert cooldowns.wait_ms("a", 0) == 5_000


def test_cooldown_for_load_ends_when_there_is_room_but_one_for_a_limit_does_not():
    cooldowns = Cooldowns()
    cooldowns.start("load", 5_000, now_ms=0, is_load=True)
    cooldowns.start("limit", 5_000, now_ms=0, is_load=False)
    cooldowns.start("both", 5_000, now_ms=0, is_load=True)
    cooldowns.start("both", 5_000, now_ms=0, is_load=False)
    for domain in ("load", "limit", "both", "none"):
        cooldowns.end_for_load(domain)
    waits = [cooldowns.wait_ms(domain, 0) for domain in ("load", "limit", "both")]
    assert waits == [0, 5_000, 5_000]


def test_cooldowns_forget_what_is_over():
    cooldowns = Cooldowns()
    cooldowns.start("a", 1_000, now_ms=0, is_load=False)
    cooldowns.start("b", 1_000, now_ms=1_000, is_load=True)
    cooldowns.start("a", 1_000, now_ms=1_500, is_load=True)
    cooldowns.end_for_load("a")
    assert cooldowns.wait_ms("a", 1_500) == 0
