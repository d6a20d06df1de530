"""What is switched off, until when."""

from __future__ import annotations

from random import Random

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.standing import (
    COOLDOWN_MS_MAX,
    MODELS_OFF_MAX,
    QUOTA_BLIND_MS,
    QuotaDomain,
    Standing,
    share_quota_domain,
)

RANDOM = Random(1)


def standing(**options):
    return Standing(QuotaDomain(), **({"remembers": True} | options))


def note(kept, fault, model="m", now_ms=0, retry_after_ms=None):
    error = EngineError(EngineFault(fault), "said so", retry_after_ms=retry_after_ms)
    kept.note_error(error, model, now_ms=now_ms, random=RANDOM)
    return error


def fault_of(kept, model="m", now_ms=0):
    try:
        kept.check(model, now_ms=now_ms)
    except EngineError as error:
        return error.fault.value
    return None


def test_refused_key_holds_for_all_models_and_for_ever():
    kept = standing()
    note(kept, "unauthorized")
    assert fault_of(kept, "other", 10**12) == "unauthorized"


@pytest.mark.parametrize("fault", ["forbidden", "model_not_found"])
def test_refused_model_holds_for_itself_until_it_is_listed(fault):
    kept = standing()
    note(kept, fault)
    assert fault_of(kept, now_ms=10**12) == fault
    assert fault_of(kept, "other") is None
    kept.note_listed(["other", "m"])
    assert fault_of(kept) is None


def test_refused_models_are_bounded():
    kept = standing()
    for number in range(MODELS_OFF_MAX + 1):
        note(kept, "model_not_found", f"m{number}")
    assert fault_of(kept, "m0") is None
    assert fault_of(kept, "m1") == "model_not_found"


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden", "model_not_found"])
def test_engine_of_ones_own_is_asked_again(fault):
    kept = standing(remembers=False)
    note(kept, fault)
    assert fault_of(kept) is None


@pytest.mark.parametrize("fault", ["overloaded", "bad_request", "internal", "timeout"])
def test_other_faults_switch_nothing_off(fault):
    kept = standing()
    note(kept, fault)
    assert fault_of(kept) is None


def test_limit_pauses_as_long_as_the_provider_says():
    kept = standing()
    error = note(kept, "rate_limited", now_ms=1_000, retry_after_ms=5_000)
    assert error.retry_after_ms == 5_000
    assert fault_of(kept, "other", 5_999) == "rate_limited"
    assert fault_of(kept, now_ms=6_000) is None


def test_pause_grows_with_each_limit_and_shrinks_with_a_success():
    kept = standing()
    waits = [note(kept, "rate_limited", now_ms=n * 100_000).retry_after_ms for n in range(12)]
    for number, wait_ms in enumerate(waits):
        longest = min(1_000 << number, COOLDOWN_MS_MAX)
        assert longest // 2 <= wait_ms <= longest
    kept.domain.note_success()
    assert note(kept, "rate_limited", now_ms=10**9).retry_after_ms <= 1_000


def test_shorter_pause_does_not_end_a_longer_one():
    kept = standing()
    note(kept, "rate_limited", retry_after_ms=60_000)
    assert note(kept, "rate_limited", now_ms=1, retry_after_ms=1).retry_after_ms == 59_999


def test_balance_that_is_used_up_holds_until_it_has_changed():
    kept = standing()
    note(kept, "out_of_quota")
    kept.domain.balance_micro = 5
    for balance in (5, 0, -3):
        kept.domain.take_balance(balance, now_ms=10**9)
        assert fault_of(kept) == "out_of_quota"
    kept.domain.take_balance(6, now_ms=10**9)
    assert fault_of(kept) is None


def test_balance_nobody_tells_is_tried_again_after_a_while():
    kept = standing()
    note(kept, "out_of_quota", now_ms=1)
    kept.domain.take_balance(None, now_ms=QUOTA_BLIND_MS)
    assert fault_of(kept) == "out_of_quota"
    kept.domain.take_balance(None, now_ms=QUOTA_BLIND_MS + 1)
    assert fault_of(kept) is None


def test_domain_of_a_name_is_shared_while_somebody_holds_it():
    one = share_quota_domain("test of sharing")
    assert share_quota_domain("test of sharing") is one
    one.out_of_quota = True
    del one
    assert not share_quota_domain("test of sharing").out_of_quota
