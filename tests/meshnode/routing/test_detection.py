"""Suspicion grows with silence, measured by how regular a replica was; death needs witnesses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.detection import WINDOW, WITNESSES, Heartbeats, Vitality


def beat(*intervals_ms: int) -> tuple[Heartbeats, int]:
    heartbeats = Heartbeats()
    now_ms = 0
    heartbeats.hear(now_ms)
    for interval_ms in intervals_ms:
        now_ms += interval_ms
        heartbeats.hear(now_ms)
    return heartbeats, now_ms


def find_suspicion_ms(heartbeats: Heartbeats, now_ms: int) -> int:
    return next(
        silent_ms
        for silent_ms in range(0, 100_000, 10)
        if heartbeats.judge(now_ms + silent_ms) is not Vitality.ALIVE
    )


def test_heartbeats_do_not_judge_who_was_never_heard():
    assert Heartbeats().judge(10**9) is Vitality.ALIVE


def test_heartbeats_suspect_after_a_silence_that_regular_ones_never_had():
    regular, now_ms = beat(*[1_000] * 200)
    silent_ms = find_suspicion_ms(regular, now_ms)
    assert 2_400 < silent_ms < 2_500
    assert regular.judge(now_ms + silent_ms) is Vitality.SUSPECT
    assert regular.judge(now_ms + silent_ms + 200) is Vitality.SILENT


def test_heartbeats_are_patient_with_irregular_replicas():
    irregular, now_ms = beat(*[1_000, 3_000] * 60)
    assert find_suspicion_ms(irregular, now_ms) > 6_000


def test_heartbeats_are_not_misled_by_many_short_intervals():
    chatty, now_ms = beat(*[10] * 500)
    assert find_suspicion_ms(chatty, now_ms) > 2_400


def test_heartbeats_look_at_the_last_intervals_only():
    changed, now_ms = beat(*[5_000] * WINDOW, *[1_000] * WINDOW)
    regular, _ = beat(*[1_000] * WINDOW)
    assert find_suspicion_ms(changed, now_ms) == find_suspicion_ms(regular, WINDOW * 1_000)


def test_replica_is_dead_when_others_cannot_reach_it_either():
    heartbeats, now_ms = beat(*[1_000] * 10)
    late_ms = now_ms + 10_000
    for _ in range(WITNESSES):
        assert heartbeats.judge(late_ms) is Vitality.SILENT
        heartbeats.miss()
    assert heartbeats.judge(late_ms) is Vitality.DEAD
    assert heartbeats.judge(now_ms + 1_000) is Vitality.ALIVE
    heartbeats.hear(late_ms)
    assert heartbeats.judge(late_ms) is Vitality.ALIVE
    assert heartbeats.judge(late_ms + 30_000) is Vitality.SILENT


@given(st.lists(st.integers(0, 10**6), max_size=150), st.integers(0, 10**6), st.integers(0, 10**6))
def test_suspicion_only_grows_with_silence(intervals_ms, silent_ms, more_ms):
    heartbeats, now_ms = beat(*intervals_ms)
    before = heartbeats.judge(now_ms + silent_ms)
    assert heartbeats.judge(now_ms + silent_ms + more_ms) >= before
