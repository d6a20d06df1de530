"""Every code that nodes record has words and, where one fits, a next step."""

from __future__ import annotations

import pytest

from market.errors import Code
from market.orders import Code as OrderCode
from meshnode.node.market_refusals import _SAID, describe_code, make_refusal


def test_every_code_has_words():
    assert list(_SAID) == [*Code, *OrderCode]


@pytest.mark.parametrize("code", [*Code, *OrderCode])
def test_words_are_one_plain_clause(code: str):
    said, hint = describe_code(code)
    assert said[0].islower()
    assert not said.endswith(".")
    assert not hint.endswith(".")


def test_the_markets_own_hint_stands_where_there_is_no_other():
    assert describe_code(Code.UNKNOWN_MODEL)[1] == "the committee lists models by motion"
    assert describe_code(Code.DAILY_CAP)[1].startswith("wait for the next day")


def test_code_of_another_version_is_shown_as_it_is():
    error = make_refusal("sold_out")
    assert error.reason == "sold_out"
    assert "another version of this program knows why" in error.message
