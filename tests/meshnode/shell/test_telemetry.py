"""Counters, offences by peer, and how late the loop is."""

from __future__ import annotations

import asyncio

from meshnode.shell import telemetry as telemetry_module
from meshnode.shell.telemetry import OFFENDERS_MAX, Telemetry


def test_telemetry_counts_by_name():
    telemetry = Telemetry()
    telemetry.count("b")
    telemetry.count("a", 3)
    telemetry.count("b")
    assert telemetry.snapshot()["counters"] == {"a": 3, "b": 2}


def test_telemetry_counts_offences_by_name_and_by_a_bounded_number_of_peers():
    telemetry = Telemetry()
    for number in range(OFFENDERS_MAX + 10):
        telemetry.count_offence(f"peer-{number}", "malformed")
        telemetry.count_offence("peer-0", "flood")
    snapshot = telemetry.snapshot()
    assert snapshot["offences"] == {"malformed": OFFENDERS_MAX + 10, "flood": OFFENDERS_MAX + 10}
    assert len(snapshot["offences_by_peer"]) == OFFENDERS_MAX
    assert snapshot["offences_by_peer"]["peer-0"]["malformed"] == 1
    assert "peer-1" not in snapshot["offences_by_peer"]


async def test_telemetry_measures_how_late_the_loop_is(monkeypatch):
    monkeypatch.setattr(telemetry_module, "_LAG_PERIOD_S", 0.0)
    telemetry = Telemetry()
    telemetry.start()
    for _ in range(5):
        await asyncio.sleep(0)
    telemetry.stop()
    telemetry.stop()
    snapshot = telemetry.snapshot()
    assert snapshot["loop_lag_max_ms"] >= snapshot["loop_lag_ms"] >= 0
