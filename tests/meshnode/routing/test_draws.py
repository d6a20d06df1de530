"""One drawn integer serves several purposes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.draws import derive, happens, spread

draws = st.integers(0, (1 << 64) - 1)


@given(draws)
def test_derive_gives_every_purpose_its_own_draw(draw):
    derived = [derive(draw, purpose) for purpose in range(8)]
    assert len(dict.fromkeys(derived)) == len(derived)
    assert all(0 <= each < 1 << 64 for each in derived)


def test_happens_as_often_as_asked():
    happened = [happens(derive(draw, 0), 10) for draw in range(20_000)]
    assert 100 < sum(happened) < 300
    assert not any(happens(draw, 0) for draw in range(2_000))


@given(st.integers(0, 10**9), draws)
def test_spread_adds_at_most_its_share(value, draw):
    assert value <= spread(value, draw, permille=200) <= value * 1.2
