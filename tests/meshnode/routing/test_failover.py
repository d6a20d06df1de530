"""Second attempts are the exception: each refusal of one has its reason."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.failover import BACKOFF_MS, find_backoff_ms, forbid_resume, forbid_retry
from meshnode.routing.faults import Fault
from meshnode.routing.settings import Settings
from tests.support.routing import QUERY

SETTINGS = Settings()
RESUMING = replace(QUERY, may_resume=True)


def resume(query=RESUMING, fault=Fault.UNREACHABLE, *, resumed=0, tool_call_begun=False) -> str:
    return forbid_resume(query, fault, SETTINGS, resumed=resumed, tool_call_begun=tool_call_begun)


def test_retry_is_for_what_another_replica_may_do_better():
    tried = replace(QUERY, tried=("a",))
    for fault in Fault:
        forbidden = forbid_retry(tried, fault, SETTINGS)
        assert bool(forbidden) != fault.may_retry_elsewhere


def test_retry_ends_after_three_replicas():
    assert not forbid_retry(replace(QUERY, tried=("a", "b")), Fault.TIMEOUT, SETTINGS)
    tried = replace(QUERY, tried=("a", "b", "c"))
    assert forbid_retry(tried, Fault.TIMEOUT, SETTINGS) == "3 replicas were asked in vain"


def test_resume_is_allowed_when_asked_for():
    assert resume() == ""


def test_resume_is_refused_with_a_reason():
    refusals = [
        resume(QUERY),
        resume(fault=Fault.CONTENT_FILTER),
        resume(resumed=1),
        resume(tool_call_begun=True),
        resume(replace(RESUMING, deterministic=True)),
    ]
    assert all(refusals)
    assert len(dict.fromkeys(refusals)) == len(refusals)


@given(st.integers(0, 100), st.integers(0, (1 << 64) - 1))
def test_backoff_is_within_its_bounds(failures, draw):
    assert BACKOFF_MS <= find_backoff_ms(failures, draw) <= 8_000


def test_backoff_grows():
    longest = [max(find_backoff_ms(n, draw) for draw in range(10_000)) for n in range(6)]
    assert longest == [500, 1_000, 2_000, 4_000, 8_000, 8_000]
