"""What a plan says of itself."""

from __future__ import annotations

from simulations.faults import Byzantine, Churn, Crash, Skew, Twins, find_dishonest, find_kinds


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
