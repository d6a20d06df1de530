"""What goes when there is no room, and what never does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.core.blob_quota import Holding, choose_evictions


def hold(number, size_bytes=10, used_ms=0, **options):
    options.setdefault("is_kept", False)
    return Holding(id=bytes([number]), size_bytes=size_bytes, used_ms=used_ms, **options)


def test_nothing_goes_while_there_is_room():
    assert choose_evictions([hold(1), hold(2)], size_bytes=10, quota_bytes=30) == []


def test_broken_off_fetches_go_first_then_what_was_used_least_recently():
    holdings = [hold(1, used_ms=3), hold(2, used_ms=1), hold(3, used_ms=9, is_partial=True)]
    assert choose_evictions(holdings, size_bytes=5, quota_bytes=30) == [b"\x03"]
    assert choose_evictions(holdings, size_bytes=15, quota_bytes=30) == [b"\x03", b"\x02"]


def test_kept_blobs_stay_even_when_the_quota_is_broken_for_them():
    holdings = [hold(1, is_kept=True), hold(2)]
    assert choose_evictions(holdings, size_bytes=25, quota_bytes=30) is None


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.booleans(), st.booleans())),
    st.integers(1, 200),
    st.integers(0, 400),
)
def test_evictions_make_room_and_take_nothing_that_is_kept(shapes, size_bytes, quota_bytes):
    holdings = [
        hold(number % 256, size, used, is_kept=kept, is_partial=partial)
        for number, (size, used, kept, partial) in enumerate(shapes)
    ]
    chosen = choose_evictions(holdings, size_bytes=size_bytes, quota_bytes=quota_bytes)
    kept = sum(each.size_bytes for each in holdings if each.is_kept)
    if chosen is None:
        assert kept + size_bytes > quota_bytes
        return
    gone = [each for each in holdings if each.id in chosen]
    assert not any(each.is_kept for each in gone)
    held = sum(each.size_bytes for each in holdings)
    assert held - sum(each.size_bytes for each in gone) + size_bytes <= quota_bytes
