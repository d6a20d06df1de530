"""What either side says next, from what is agreed and what it holds."""

from __future__ import annotations

import msgspec
import pytest

from dag.canonical import encode
from market.commands import Accept, Close, Decline, Finalise, PostReceipt
from market.contracts import BUYER_FINAL, PROVIDER_FINAL, Contract
from market.receipts import Receipt, SignedReceipt
from meshnode.trading.records import Record
from meshnode.trading.settling import (
    KEEP_ALIVE_MS,
    POST_GRACE_MS,
    UNCLAIMED_MS,
    Standing,
    list_buyer_commands,
    list_provider_commands,
)

NAME = bytes(32)
CONTRACT = Contract(NAME, b"buyer", b"seller", b"model", 1, 1, 0, 0, 0, 0, 0, False)


def receipt(seq: int, *, final: bool = False) -> Receipt:
    return Receipt(NAME, NAME, seq, 0, seq, seq, 0, NAME, final)


def record(seq: int, *, final: bool = False) -> Record:
    if not seq:
        return Record(NAME, "buyer", 0)
    return Record(NAME, "buyer", 0, SignedReceipt(encode(receipt(seq, final=final)), b"", b""))


def contract(phase: str, **changes) -> Contract:
    return msgspec.structs.replace(CONTRACT, phase=phase, **changes)


def provider(row: Contract, held: Record | None = None, *, live=False, quiet_ms=0, wanted=False):
    standing = Standing(held, live, quiet_ms)
    return list_provider_commands(row, standing, is_wanted=wanted)


def buyer(row: Contract, held: Record | None = None, *, live=False, quiet_ms=0, released=False):
    return list_buyer_commands(row, Standing(held, live, quiet_ms, released))


def post(seq: int, *, final: bool = False) -> PostReceipt:
    signed = record(seq, final=final).signed
    assert signed is not None
    return PostReceipt(signed)


def test_provider_takes_a_task_or_not():
    assert provider(contract("locked"), wanted=True) == (Accept(NAME),)
    assert provider(contract("locked")) == (Decline(NAME),)


def test_nothing_is_said_while_a_contract_is_disputed():
    assert provider(contract("disputed"), record(1)) == ()
    assert buyer(contract("disputed"), record(1)) == ()


@pytest.mark.parametrize("phase", ["delivering", "claimable"])
def test_provider_posts_the_highest_receipt_once_its_stream_is_over(phase: str):
    assert provider(contract(phase), record(3)) == (post(3),)
    assert provider(contract(phase, receipt=receipt(2)), record(3)) == (post(3),)
    assert provider(contract(phase), record(3), live=True) == ()


def test_provider_keeps_a_long_stream_alive():
    row = contract("delivering", receipt=receipt(2))
    assert provider(row, record(3), live=True, quiet_ms=KEEP_ALIVE_MS) == (post(3),)
    assert provider(row, record(2), live=True, quiet_ms=KEEP_ALIVE_MS) == ()
    late = contract("claimable", receipt=receipt(2))
    assert provider(late, record(3), live=True, quiet_ms=KEEP_ALIVE_MS) == ()


def test_provider_will_not_dispute_once_all_is_posted():
    row = contract("claimable", receipt=receipt(3))
    assert provider(row, record(3)) == (Finalise(NAME),)
    assert provider(row, record(3), live=True) == ()
    assert provider(contract("claimable")) == (Finalise(NAME),)
    done = contract("claimable", receipt=receipt(3), finals=PROVIDER_FINAL)
    assert provider(done, record(3)) == ()
    assert provider(contract("delivering"), record(0)) == ()


def test_buyer_lets_a_contract_be_while_it_is_of_use():
    assert buyer(contract("locked"), released=True) == ()
    assert buyer(contract("delivering"), record(1), live=True) == ()
    assert buyer(contract("delivering")) == ()


def test_buyer_closes_what_it_does_not_use():
    assert buyer(contract("delivering"), released=True) == (Close(NAME),)
    assert buyer(contract("delivering"), quiet_ms=UNCLAIMED_MS) == (Close(NAME),)
    assert buyer(contract("delivering"), record(0)) == (Close(NAME),)


def test_buyer_posts_what_it_has_signed_when_an_answer_broke_off():
    assert buyer(contract("delivering"), record(2)) == (post(2), Close(NAME))
    assert buyer(contract("claimable"), record(2)) == (post(2),)


def test_buyer_leaves_the_last_receipt_to_the_provider_for_a_while():
    held = record(2, final=True)
    assert buyer(contract("delivering"), held) == ()
    assert buyer(contract("claimable"), held) == ()
    assert buyer(contract("delivering"), held, quiet_ms=POST_GRACE_MS) == (post(2, final=True),)


def test_buyer_will_not_dispute_once_all_is_posted():
    held = record(2, final=True)
    row = contract("claimable", receipt=receipt(2, final=True))
    assert buyer(row, held) == (Finalise(NAME),)
    assert buyer(contract("claimable"), quiet_ms=UNCLAIMED_MS) == (Finalise(NAME),)
    assert buyer(contract("claimable", receipt=receipt(2, final=True)), record(1)) == (
        Finalise(NAME),
    )
    assert buyer(contract("claimable", finals=BUYER_FINAL)) == ()
    # A receipt is there and the phase is about to follow it.
    assert buyer(contract("delivering", receipt=receipt(2, final=True)), held) == ()
