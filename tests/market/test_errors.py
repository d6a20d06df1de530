"""Refusals carry a code, one clear line, and the next step where there is one."""

from __future__ import annotations

from dag.errors import MeshError
from market.errors import HINTS, Code, Refused
from market.orders import Code as OrderCode


def test_refusal_says_code_reason_and_next_step():
    error = Refused(Code.INSUFFICIENT_FUNDS, "1 uruv is free where 2 are needed")
    assert isinstance(error, MeshError)
    assert str(error).startswith("insufficient_funds: 1 uruv")
    assert str(error).endswith(HINTS[Code.INSUFFICIENT_FUNDS])


def test_refusal_takes_the_codes_of_the_book():
    assert str(Refused(OrderCode.OFF_TICK, "no")) == "off_tick: no"


def test_codes_of_market_and_book_do_not_mean_two_things():
    assert not {each.value for each in Code} & {each.value for each in OrderCode}
