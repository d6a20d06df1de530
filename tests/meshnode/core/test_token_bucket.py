"""Tokens come at their rate, and no more are kept than the burst."""

from __future__ import annotations

from meshnode.core.token_bucket import TokenBucket


def test_bucket_gives_its_burst_at_once_and_then_one_per_gap():
    bucket = TokenBucket(100, 3)
    assert [bucket.take(1_000) for _ in range(4)] == [True, True, True, False]
    assert bucket.find_next(1_000) == 1_100
    assert not bucket.has_token(1_099)
    assert bucket.take(1_100)
    assert not bucket.take(1_100)


def test_bucket_keeps_no_more_than_its_burst():
    bucket = TokenBucket(100, 3)
    assert bucket.take(0)
    assert bucket.find_next(1_000_000) == 1_000_000
    assert [bucket.take(1_000_000) for _ in range(4)] == [True, True, True, False]


def test_what_is_spent_beyond_the_burst_is_owed():
    bucket = TokenBucket(100, 2)
    for _ in range(3):
        assert not bucket.owes(0, 1)
        bucket.spend(0)
    assert not bucket.owes(0, 1)
    bucket.spend(0)
    assert bucket.owes(0, 1)
    assert not bucket.owes(100, 1)
    assert bucket.find_next(0) == 300
