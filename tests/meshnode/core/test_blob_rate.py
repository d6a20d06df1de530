"""A bucket of bytes never grants more than its rate and one burst."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.core.blob_rate import ByteBucket


def test_burst_goes_at_once_and_the_rest_waits():
    bucket = ByteBucket(rate_bytes_s=1_000, burst_bytes=500, now_ms=0)
    assert bucket.take(500, now_ms=0) == 0
    assert bucket.take(100, now_ms=0) == 100
    assert not bucket.is_full(now_ms=599)
    assert bucket.is_full(now_ms=600)


def test_clock_that_goes_back_grants_nothing():
    bucket = ByteBucket(rate_bytes_s=1_000, burst_bytes=10, now_ms=1_000)
    assert bucket.take(10, now_ms=1_000) == 0
    assert bucket.take(10, now_ms=0) == 10
    assert bucket.take(1, now_ms=1_000) == 11


@given(
    st.integers(1, 10**9),
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 5_000)), max_size=30),
)
def test_bucket_grants_no_more_than_rate_and_burst(rate, burst, takes):
    bucket = ByteBucket(rate_bytes_s=rate, burst_bytes=burst, now_ms=0)
    now_ms, taken = 0, 0
    for size_bytes, pause_ms in takes:
        now_ms += pause_ms + bucket.take(size_bytes, now_ms=now_ms + pause_ms)
        taken += size_bytes
        assert taken * 1_000 <= burst * 1_000 + rate * now_ms
