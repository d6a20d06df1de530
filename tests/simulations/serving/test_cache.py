"""Memory of a replica: pinned, kept, and given up in the order of use."""

from __future__ import annotations

from simulations.serving.cache import PrefixCache


def test_only_what_is_whole_from_the_front_counts():
    cache = PrefixCache(10_000)
    cache.keep([1, 2, 3])
    assert cache.match([1, 2, 9]) == 1_024
    assert cache.match([2, 3]) == 1_024
    assert cache.match([9, 1]) == 0


def test_least_lately_used_goes_first_and_tails_before_heads():
    cache = PrefixCache(4 * 512)
    cache.keep([1, 2])
    cache.keep([3, 4])
    cache.keep([5])
    assert cache.match([1, 2]) == 512
    assert cache.match([3, 4]) == 1_024
    assert len(cache) == 4


def test_running_requests_push_blocks_out():
    cache = PrefixCache(4 * 512)
    cache.keep([1, 2, 3, 4])
    assert cache.pin(1_024)
    assert len(cache) == 2
    assert cache.usage == 0.5
    assert not cache.pin(2_000)
    cache.unpin(1_024)
    assert cache.usage == 0


def test_request_larger_than_memory_is_let_in_alone():
    cache = PrefixCache(1_000)
    assert cache.pin(5_000)
    assert not cache.pin(1)


def test_changes_are_told_once():
    cache = PrefixCache(3 * 512)
    cache.keep([1, 2])
    assert cache.take_changes() == ((2, 1), ())
    cache.keep([3, 4])
    assert cache.take_changes() == ((4, 3), (2,))
    assert cache.take_changes() == ((), ())
    cache.keep([2])
    cache.clear()
    touched, dropped = cache.take_changes()
    assert touched == ()
    assert sorted(dropped) == [1, 2, 3, 4]
