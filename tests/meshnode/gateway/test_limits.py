"""Limits of clients: requests a minute, questions at once, ruv a day."""

from __future__ import annotations

import pytest

from meshnode.errors import StorageError
from meshnode.gateway import limits as limits_module
from meshnode.gateway.access import OWNER, Caller
from meshnode.gateway.keys import create_key
from meshnode.gateway.limits import Limits
from meshnode.gateway.refusals import SpendingExceeded, TooManyRequests

DAY_S = 86_400


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def make_caller(path, **limits):
    key, _ = create_key(path, name="a", now_ms=1, **limits)
    return Caller(key.id, key)


def make_limits(path, clock):
    return Limits(path, read_clock_s=clock, read_time_s=clock)


def test_requests_of_a_minute_are_counted_and_come_back_evenly(tmp_path, clock):
    caller, limits = make_caller(tmp_path, requests_per_min=3), make_limits(None, clock)
    for _ in range(3):
        limits.count(caller)
    with pytest.raises(TooManyRequests) as refused:
        limits.count(caller)
    assert refused.value.retry_after_s == 20
    clock.now_s += 20.5
    limits.count(caller)
    clock.now_s += 1_000
    for _ in range(3):
        limits.count(caller)
    with pytest.raises(TooManyRequests):
        limits.count(caller)


def test_owner_and_keys_without_limits_are_not_counted(tmp_path, clock):
    caller, limits = make_caller(tmp_path), make_limits(None, clock)
    for _ in range(1_000):
        limits.count(OWNER)
        limits.count(caller)


def test_questions_at_once_are_counted_until_they_end(tmp_path, clock):
    caller, limits = make_caller(tmp_path, concurrent=1), make_limits(None, clock)
    with limits.hold(caller):
        with pytest.raises(TooManyRequests), limits.hold(caller):
            pass
        with limits.hold(OWNER):
            assert limits.questions == 2
    with limits.hold(caller):
        assert limits.questions == 1
    assert limits.questions == 0


def test_node_carries_so_many_questions_and_no_more(clock, monkeypatch):
    monkeypatch.setattr(limits_module, "QUESTIONS_MAX", 1)
    limits = make_limits(None, clock)
    with limits.hold(OWNER), pytest.raises(TooManyRequests), limits.hold(OWNER):
        pass


def test_spending_is_set_aside_corrected_and_remembered(tmp_path, clock):
    caller, limits = make_caller(tmp_path, day_uruv=100), make_limits(tmp_path, clock)
    with limits.hold(caller, 80) as hold:
        with pytest.raises(SpendingExceeded) as refused, limits.hold(caller, 21):
            pass
        assert "0.00002 ruv left" in refused.value.message
        hold.settle(30)
    again = make_limits(tmp_path, clock)
    with pytest.raises(SpendingExceeded), again.hold(caller, 71):
        pass
    with again.hold(caller, 70):
        pass  # nobody said what it did cost: what was set aside counts
    with pytest.raises(SpendingExceeded), again.hold(caller, 1):
        pass
    clock.now_s += DAY_S
    with again.hold(caller, 100):
        pass


def test_key_without_an_allowance_buys_nothing_and_the_owner_everything(tmp_path, clock):
    caller, limits = make_caller(tmp_path), make_limits(None, clock)
    with limits.hold(OWNER, 10**12) as hold:
        hold.settle(5)
    with limits.hold(caller):
        pass
    with pytest.raises(SpendingExceeded), limits.hold(caller, 1):
        pass


def test_spending_without_a_home_lasts_as_long_as_the_process(tmp_path, clock):
    caller, limits = make_caller(tmp_path, day_uruv=10), make_limits(None, clock)
    with limits.hold(caller, 10):
        pass
    with pytest.raises(SpendingExceeded), limits.hold(caller, 1):
        pass


def test_damaged_account_of_spending_lets_nothing_be_bought(tmp_path, clock):
    caller, limits = make_caller(tmp_path, day_uruv=10), make_limits(tmp_path, clock)
    path = tmp_path / "api_spent.json"
    path.write_text("{")
    path.chmod(0o600)
    with pytest.raises(StorageError), limits.hold(caller, 1):
        pass
