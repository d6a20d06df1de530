"""The clocks of the shell: Unix time that never goes back, and one moved by hand."""

from __future__ import annotations

import time

import pytest

from meshnode.shell.clock import Clock, ManualClock


def test_clock_tells_unix_time():
    before = time.time() * 1_000
    now = Clock().now_ms()
    after = time.time() * 1_000
    assert before - 5 <= now <= after + 5


def test_clock_never_goes_back_when_the_wall_does(monkeypatch):
    clock = Clock()
    first = clock.now_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.now_ms() >= first


def test_manual_clock_moves_only_when_told():
    clock = ManualClock(5)
    assert clock.now_ms() == 5
    clock.advance(7)
    assert clock.now_ms() == 12
    with pytest.raises(AssertionError):
        clock.advance(-1)
