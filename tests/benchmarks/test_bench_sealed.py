"""The benchmark of sealing measures what it says: both sides, written and read."""

from __future__ import annotations

from benchmarks.bench_sealed import (
    Cost,
    Sides,
    measure_first_tokens,
    measure_frame,
    measure_handshake,
)


def test_handshake_and_frames_cost_more_than_their_floor_says_nothing_of():
    shake, frame = measure_handshake(1), measure_frame(200, 1)
    assert shake.wire_bytes > 2 * 1_088
    assert 272 < frame.wire_bytes < 300
    for cost in (shake, frame):
        assert cost.cpu_us > 0 < cost.floor_us
    assert Cost(name="x", cpu_us=3, floor_us=2, wire_bytes=1).ratio == 1.5


def test_both_sides_come_to_an_end():
    sides = Sides()
    sides.shake_hands()
    sides.compute_floor()


async def test_questions_are_asked_both_ways():
    found = await measure_first_tokens(1)
    assert found.questions == 1
    assert min(found.open_cpu_ms, found.sealed_cpu_ms) > 0
