"""What commands say in words is looked at before anybody hears it."""

from __future__ import annotations

import pytest

from market.commands import Accept, Attest, Dispute, ListMotion, PlaceOrder, Transfer
from market.errors import Code, Refused
from market.free_text import check_texts, list_texts
from market.orders import Side, TimeInForce

KEY = "sk-proj-abcdefghij0123456789"
ORDER = PlaceOrder(bytes(32), Side.BID, 1, 1, 0, TimeInForce.GTC)


def make_attest(version: str) -> Attest:
    return Attest(bytes(32), "own_weights", bytes(32), version, bytes(32), 1, True, False)


def test_texts_are_found_wherever_they_stand():
    assert list(list_texts((Transfer(b"", 1, "lunch"), ("a", 1)))) == ["lunch", "a"]
    assert list(list_texts(ORDER)) == []
    assert list(list_texts(make_attest("2"))) == ["own_weights", "2"]


@pytest.mark.parametrize(
    "command",
    [
        Transfer(bytes(32), 1, f"use {KEY}"),
        make_attest(KEY),
        Dispute(bytes(32), f"he said {KEY}", bytes(32)),
        ListMotion(KEY, "own_weights", 1, "open", 0),
        Transfer(bytes(32), 1, "password: hunter22"),
        Transfer(bytes(32), 1, "a1" * 20),
    ],
)
def test_credential_in_any_text_is_refused(command):
    with pytest.raises(Refused) as caught:
        check_texts([ORDER, command])
    assert caught.value.reason is Code.CREDENTIAL
    assert KEY not in str(caught.value)


def test_other_texts_pass():
    check_texts(
        [
            ORDER,
            Accept(bytes(32)),
            Transfer(bytes(32), 1, "for lunch"),
            make_attest("Modified MIT, 2025-07"),
            # Long names of models are usual, and no credentials.
            ListMotion("moonshotai/kimi-k2-instruct-0905-fp8-block", "own_weights", 1, "open", 0),
        ]
    )
