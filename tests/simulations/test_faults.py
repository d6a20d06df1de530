"""What a plan says of itself."""

from __future__ import annotations

from simulations.faults import (
    Byzantine,
    Churn,
    Crash,
    Drop,
    Jump,
    Skew,
    Twins,
    find_clock_spread_ms,
    find_dishonest,
    find_kinds,
)


def test_dishonest_are_those_who_lie_or_are_two():
    plan = (
        Crash(number=1, host=0, at_ms=1, down_ms=1),
        Churn(number=5, host=0, at_ms=9, down_ms=1),
        Skew(number=2, host=1, offset_ms=0, skew_ppb=0),
        Byzantine(number=3, host=3, at_ms=1, for_ms=1, behaviour="mute", percent=5),
        Twins(number=4, host=2, viewers=(0,)),
    )
    assert find_dishonest(plan) == (2, 3)
    assert find_kinds(plan) == ("crash", "churn", "skew", "byzantine", "twins")


def test_clock_spread_adds_up_what_is_done_to_each_clock():
    skew = Skew(number=0, host=1, offset_ms=121_500, skew_ppb=0)
    again = Skew(number=1, host=1, offset_ms=60_000, skew_ppb=9)
    behind = Skew(number=2, host=2, offset_ms=-60_000, skew_ppb=0)
    jump = Jump(number=3, host=2, at_ms=5, by_ms=-2_000)
    drop = Drop(number=4, one=0, other=1, at_ms=5)
    assert find_clock_spread_ms(()) == 0
    assert find_clock_spread_ms((drop, skew)) == 121_500
    assert find_clock_spread_ms((skew, again, behind, jump, drop)) == 181_500 + 62_000
