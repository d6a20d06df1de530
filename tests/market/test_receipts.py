"""Receipts: signed by both sides, bound to network and contract, canonical."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from dag.canonical import encode
from market.errors import Code, Refused
from market.receipts import Receipt, ReceiptVerifier, decode_receipt, sign_receipt
from tests.support.hostile_bytes import any_bytes
from tests.support.market_scene import NETWORK, Keys, get_account, get_secrets

RECEIPT = Receipt(NETWORK, bytes(32), 1, 4, 10, 11, 200, bytes(32), final=False)
VERIFIER = ReceiptVerifier(NETWORK, "ed25519", Keys())


def test_receipt_is_read_back():
    assert VERIFIER.open(encode(RECEIPT)) == RECEIPT
    assert len(encode(RECEIPT)) < 150


def test_signature_holds_for_its_author_and_its_bytes():
    data = encode(RECEIPT)
    signature = sign_receipt("ed25519", get_secrets(4), RECEIPT)
    VERIFIER.check_signature(data, get_account(4), signature)
    other = encode(msgspec.structs.replace(RECEIPT, seq=2))
    for author, content in ((5, data), (4, other), (99, data)):
        with pytest.raises(Refused) as caught:
            VERIFIER.check_signature(content, get_account(author), signature)
        assert caught.value.reason is Code.BAD_SIGNATURE


def test_signature_does_not_hold_in_another_network():
    other = msgspec.structs.replace(RECEIPT, network=bytes(32))
    with pytest.raises(Refused) as caught:
        VERIFIER.open(encode(other))
    assert caught.value.reason is Code.WRONG_NETWORK
    signature = sign_receipt("ed25519", get_secrets(4), other)
    assert not VERIFIER.is_signed(encode(other), get_account(4), signature)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": b"short"},
        {"contract": b""},
        {"transcript_root": bytes(33)},
        {"seq": 0},
        {"tokens_in": -1},
        {"tokens_out": 2**63},
        {"tokens_billed": -1},
        {"first_token_ms": -1},
    ],
)
def test_receipt_is_refused_when_a_field_is_out_of_range(changes: dict):
    with pytest.raises(Refused) as caught:
        decode_receipt(encode(msgspec.structs.replace(RECEIPT, **changes)))
    assert caught.value.reason is Code.BAD_RECEIPT


@given(any_bytes([encode(RECEIPT)]))
def test_any_bytes_are_a_receipt_or_refused(data: bytes):
    try:
        assert encode(decode_receipt(data)) == data
    except Refused as refusal:
        code = refusal.reason
    else:
        code = Code.BAD_RECEIPT
    assert code is Code.BAD_RECEIPT
