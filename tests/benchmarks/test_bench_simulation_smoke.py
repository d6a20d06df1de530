"""The benchmark of the simulator still runs, on few nodes."""

from __future__ import annotations

import pytest

pytest.importorskip("simpy", reason="comes with the dependency group `bench`")

from benchmarks.bench_simulation import cores, gossip, overlay_cores, ping_kernel, ping_simpy


def test_every_part_delivers_something():
    parts = (
        ping_kernel(20, 100, traced=True),
        ping_simpy(20, 100, process_per_message=True),
        ping_simpy(20, 100, process_per_message=False),
        gossip(20, "cached", traced=True),
        cores(3, "cached"),
    )
    assert all(count > 0 for count, _ in parts)


def test_cores_in_an_overlay_are_measured_from_bring_up_to_load():
    run = overlay_cores(20, "cached", stretches=1)
    assert all(value > 0 for value in run.describe(20).values())
