"""A quota domain waits as a whole, for as long as it was told to, within bounds."""

from __future__ import annotations

from meshnode.routing.cooldown import COOLDOWN_MS, COOLDOWN_MS_MAX, PROBE_MS_MAX, Cooldowns


def limit(cooldowns: Cooldowns, wait_ms: int, *, now_ms: int = 0) -> None:
    cooldowns.start("a", wait_ms, now_ms=now_ms, is_load=False)


def test_cooldown_lasts_as_long_as_it_was_told():
    cooldowns = Cooldowns()
    limit(cooldowns, 3_000)
    assert cooldowns.wait_ms("a", 1_000) == 2_000
    assert cooldowns.wait_ms("a", 3_000) == 0
    assert cooldowns.wait_ms("b", 0) == 0


def test_cooldown_is_bounded_and_has_a_default():
    cooldowns = Cooldowns()
    limit(cooldowns, 10**9)
    cooldowns.start("b", 0, now_ms=0, is_load=False)
    assert cooldowns.wait_ms("a", 0) == COOLDOWN_MS_MAX
    assert cooldowns.wait_ms("b", 0) == COOLDOWN_MS


def test_cooldown_is_not_shortened_by_another_refusal():
    cooldowns = Cooldowns()
    limit(cooldowns, 5_000)
    cooldowns.start("a", 1_000, now_ms=0, is_load=True)
    assert cooldowns.wait_ms("a", 0) == 5_000


def test_cooldown_for_load_ends_when_there_is_room_but_one_for_a_limit_does_not():
    cooldowns = Cooldowns()
    cooldowns.start("load", 5_000, now_ms=0, is_load=True)
    cooldowns.start("limit", 5_000, now_ms=0, is_load=False)
    cooldowns.start("both", 5_000, now_ms=0, is_load=True)
    cooldowns.start("both", 5_000, now_ms=0, is_load=False)
    for domain in ("load", "limit", "both", "none"):
        cooldowns.on_room(domain)
    waits = [cooldowns.wait_ms(domain, 0) for domain in ("load", "limit", "both")]
    assert waits == [0, 5_000, 5_000]


def test_one_request_probes_after_a_wait_for_a_limit():
    cooldowns = Cooldowns()
    limit(cooldowns, 2_000)
    cooldowns.on_sent("a", 1)
    cooldowns.on_sent("a", 2)
    cooldowns.on_sent("elsewhere", 2)
    assert cooldowns.wait_ms("a", 2_500) == COOLDOWN_MS
    cooldowns.on_ended("a", 2)
    cooldowns.on_ended("elsewhere", 2)
    assert cooldowns.wait_ms("a", 2_500) == COOLDOWN_MS
    cooldowns.on_ended("a", 1)
    assert cooldowns.wait_ms("a", 2_500) == 0
    cooldowns.on_sent("a", 3)
    cooldowns.on_served("a")
    assert cooldowns.wait_ms("a", 2_500) == 0


def test_probe_that_never_ends_holds_nobody_back_for_ever():
    cooldowns = Cooldowns()
    limit(cooldowns, 2_000)
    cooldowns.on_sent("a", 1)
    assert cooldowns.wait_ms("a", 2_000 + PROBE_MS_MAX - 1) == COOLDOWN_MS
    assert cooldowns.wait_ms("a", 2_000 + PROBE_MS_MAX) == 0


def test_nobody_probes_after_a_wait_for_load():
    cooldowns = Cooldowns()
    cooldowns.start("a", 1_000, now_ms=0, is_load=True)
    cooldowns.on_sent("a", 1)
    assert cooldowns.wait_ms("a", 1_000) == 0


def test_waits_double_while_each_is_followed_by_a_refusal():
    cooldowns = Cooldowns()
    waits = []
    now_ms = 0
    for _ in range(8):
        limit(cooldowns, 2_000, now_ms=now_ms)
        limit(cooldowns, 2_000, now_ms=now_ms + 100)
        waits.append(cooldowns.wait_ms("a", now_ms))
        now_ms += waits[-1]
    assert waits == [2_100, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]


def test_cooldowns_forget_what_was_over_long_ago():
    cooldowns = Cooldowns()
    limit(cooldowns, 2_000)
    limit(cooldowns, 2_000, now_ms=2_000 + PROBE_MS_MAX)
    assert cooldowns.wait_ms("a", 2_000 + PROBE_MS_MAX) == 2_000
