"""Metering: neither side loses more than the window, whatever the other one does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dag.canonical import encode
from market.commands import PostReceipt
from market.errors import Code, Refused
from market.metering import (
    OUTSTANDING_MAX,
    RECEIPT_EVERY_MS,
    WINDOW_TOKENS,
    DeliveryMeter,
    PurchaseMeter,
    Terms,
    add_tolerance,
    make_terms,
)
from market.receipts import HalfSignedReceipt, Receipt, ReceiptVerifier, sign_receipt
from tests.support.market_scene import NETWORK, Keys, MarketScene, get_account, get_secrets

BUYER, PROVIDER, STRANGER = 4, 5, 6
SALT = bytes([3]) * 32
CONTRACT = bytes([9]) * 32
VERIFIER = ReceiptVerifier(NETWORK, "ed25519", Keys())
TERMS = Terms(NETWORK, CONTRACT, get_account(BUYER), get_account(PROVIDER), 1_500, 10, 2_500)


def sign(receipt: Receipt, signer: int) -> bytes:
    return sign_receipt("ed25519", get_secrets(signer), receipt)


class Pair:
    """Both ends of one contract, with a wire between them that the test holds."""

    def __init__(self, terms: Terms = TERMS, prompt: int = 40) -> None:
        self.seller = DeliveryMeter(terms, SALT, VERIFIER)
        self.buyer = PurchaseMeter(terms, SALT, VERIFIER)
        self.now_ms = 1_000
        self.seller.begin(b"question", prompt, self.now_ms)
        self.buyer.begin(b"question", prompt)

    def deliver(self, tokens: int, data: bytes = b"piece") -> None:
        self.seller.deliver(data, tokens, self.now_ms)
        self.buyer.receive(data, tokens)

    def state(self, **changes: object) -> HalfSignedReceipt:
        receipt = self.seller.make_receipt()
        receipt = msgspec.structs.replace(receipt, **changes)
        return self.seller.add_receipt(receipt, sign(receipt, PROVIDER), self.now_ms)

    def settle(self, half: HalfSignedReceipt) -> None:
        receipt = self.buyer.check(half)
        assert receipt is not None
        self.seller.take_signature(receipt.seq, sign(receipt, BUYER))


def refuse(pair: Pair, half: HalfSignedReceipt) -> Code:
    with pytest.raises(Refused) as caught:
        pair.buyer.check(half)
    assert isinstance(caught.value.reason, Code)
    return caught.value.reason


def test_terms_are_those_of_the_contract():
    contract = MarketScene()
    contract.list_model()
    contract.make_provider(5)
    row = contract.trade(buyer=4, provider=5, price=1_500, lots=10)
    terms = make_terms(NETWORK, row)
    assert terms == Terms(
        NETWORK, row.id, get_account(4), get_account(5), 1_500, 10, row.in_weight_bp
    )
    assert terms.tokens_max == 10_000


def test_receipt_that_both_have_signed_is_taken_by_the_market():
    scene = MarketScene()
    scene.list_model()
    scene.make_provider(5)
    row = scene.deliver(buyer=4, provider=5, lots=10)
    pair = Pair(make_terms(NETWORK, row))
    pair.deliver(100)
    pair.settle(pair.state(final=True))
    best = pair.seller.best
    assert best is not None
    scene.say(5, PostReceipt(best))
    assert scene.codes() == []
    assert scene.find_contract().phase == "claimable"
    assert scene.find_contract().cost == pair_cost(pair, make_terms(NETWORK, row))
    assert pair.seller.is_settled


def pair_cost(pair: Pair, terms: Terms) -> int:
    return terms.compute_cost(pair.buyer.last)


# --- the provider's end --------------------------------------------------------------------------


def test_prompt_counts_with_the_first_token_of_the_answer():
    pair = Pair(prompt=400)
    assert pair.seller.billed == 0
    pair.deliver(0, b"role")
    assert (pair.seller.billed, pair.seller.find_due_ms()) == (0, None)
    pair.now_ms += 250
    pair.deliver(1)
    assert pair.seller.billed == 101
    receipt = pair.seller.make_receipt()
    assert (receipt.tokens_in, receipt.tokens_out, receipt.first_token_ms) == (400, 1, 250)


def test_receipt_is_due_after_a_lot_or_after_a_while():
    pair = Pair(prompt=0)
    pair.deliver(1)
    assert pair.seller.find_due_ms() == pair.now_ms + RECEIPT_EVERY_MS
    pair.deliver(999)
    assert pair.seller.find_due_ms() == pair.now_ms
    half = pair.state()
    assert pair.seller.find_due_ms() is None
    assert pair.seller.find_oldest_ms() == pair.now_ms
    pair.settle(half)
    assert pair.seller.find_oldest_ms() is None


def test_provider_stops_when_the_window_is_full_and_goes_on_when_signed():
    pair = Pair(prompt=0)
    pair.deliver(WINDOW_TOKENS)
    assert not pair.seller.may_deliver(1)
    assert pair.seller.unacknowledged == WINDOW_TOKENS
    pair.settle(pair.state())
    assert pair.seller.may_deliver(WINDOW_TOKENS)
    assert not pair.seller.may_deliver(WINDOW_TOKENS + 1)


def test_long_prompt_is_risked_whole_until_the_first_signature():
    pair = Pair(prompt=20_000)
    assert pair.seller.may_deliver(WINDOW_TOKENS)
    pair.deliver(1)
    pair.settle(pair.state())
    assert not pair.seller.may_deliver(WINDOW_TOKENS + 1)


def test_contract_pays_for_its_lots_and_no_more():
    pair = Pair(prompt=4_000)
    assert pair.seller.has_lots(9_000)
    assert not pair.seller.has_lots(9_001)


def test_only_so_many_receipts_wait_for_a_signature():
    pair = Pair(prompt=0)
    for _ in range(OUTSTANDING_MAX):
        pair.deliver(1)
        pair.state()
    pair.deliver(1)
    assert pair.seller.find_due_ms() is None


def test_signature_on_a_later_receipt_stands_for_earlier_ones():
    pair = Pair(prompt=0)
    pair.deliver(10)
    first = pair.buyer.check(pair.state())
    pair.deliver(10)
    second = pair.buyer.check(pair.state())
    assert first is not None
    assert second is not None
    assert pair.seller.take_signature(second.seq, sign(second, BUYER)) is not None
    assert pair.seller.take_signature(first.seq, sign(first, BUYER)) is None
    assert pair.seller.take_signature(second.seq, sign(second, BUYER)) is None
    assert pair.seller.unacknowledged == 0
    assert not pair.seller.is_settled


def test_signature_is_refused_when_it_is_wrong_or_for_nothing():
    pair = Pair(prompt=0)
    pair.deliver(10)
    receipt = pair.buyer.check(pair.state())
    assert receipt is not None
    for seq, signer, code in ((2, BUYER, Code.BAD_RECEIPT), (1, STRANGER, Code.BAD_SIGNATURE)):
        with pytest.raises(Refused) as caught:
            pair.seller.take_signature(seq, sign(receipt, signer))
        assert caught.value.reason is code
    assert pair.seller.best is None


# --- the buyer's end -----------------------------------------------------------------------------


def test_buyer_signs_what_it_has_received():
    pair = Pair()
    pair.deliver(100)
    receipt = pair.buyer.check(pair.state())
    assert receipt == pair.buyer.last
    assert TERMS.compute_cost(receipt) == 165
    assert TERMS.compute_cost(None) == 0


def test_receipt_that_was_seen_before_says_nothing_new():
    pair = Pair()
    pair.deliver(100)
    half = pair.state()
    assert pair.buyer.check(half) is not None
    assert pair.buyer.check(half) is None
    assert pair.buyer.find_equivocation(half) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"contract": bytes(32)},
        {"tokens_out": 103, "tokens_billed": 113},
        {"tokens_in": 41, "tokens_out": 100, "tokens_billed": 112},
        {"tokens_billed": 111},
        {"transcript_root": bytes(32)},
    ],
)
def test_buyer_signs_nothing_that_is_not_so(changes: dict):
    pair = Pair()
    pair.deliver(100)
    if "tokens_in" in changes:
        changes = {**changes, "tokens_in": 42}
    assert refuse(pair, pair.state(**changes)) is Code.BAD_RECEIPT
    assert pair.buyer.last is None


def test_buyer_bears_what_two_honest_counts_may_differ_by():
    pair = Pair(prompt=0)
    pair.deliver(100)
    assert pair.buyer.check(pair.state(tokens_out=102, tokens_billed=102)) is not None
    assert add_tolerance(0) == 0
    assert add_tolerance(1_000) == 1_020


def test_buyer_signs_no_prompt_before_anything_came_of_it():
    pair = Pair()
    half = pair.state(tokens_in=40, tokens_billed=10)
    assert refuse(pair, half) is Code.BAD_RECEIPT


def test_buyer_signs_nothing_of_another_network_or_signer():
    pair = Pair()
    pair.deliver(100)
    assert refuse(pair, pair.state(network=bytes(32))) is Code.WRONG_NETWORK
    receipt = pair.seller.make_receipt()
    forged = HalfSignedReceipt(encode(receipt), sign(receipt, STRANGER))
    assert refuse(pair, forged) is Code.BAD_SIGNATURE


def test_buyer_signs_no_more_than_the_contract_is_for():
    pair = Pair(prompt=0)
    pair.deliver(10_001)
    assert refuse(pair, pair.state()) is Code.BAD_RECEIPT


def test_counts_never_fall():
    pair = Pair(prompt=0)
    pair.deliver(100)
    assert pair.buyer.check(pair.state()) is not None
    for final in (True, False):
        half = pair.state(tokens_out=99, tokens_billed=99, final=final)
        assert refuse(pair, half) is Code.BAD_RECEIPT


def test_nothing_is_signed_twice_under_another_number():
    pair = Pair(prompt=0)
    assert refuse(pair, pair.state()) is Code.BAD_RECEIPT
    pair.deliver(100)
    assert pair.buyer.check(pair.state()) is not None
    assert refuse(pair, pair.state()) is Code.BAD_RECEIPT
    assert pair.buyer.check(pair.state(final=True)) is not None


def test_nothing_is_signed_after_the_last_word():
    pair = Pair(prompt=0)
    pair.deliver(100)
    assert pair.buyer.check(pair.state(final=True)) is not None
    assert refuse(pair, pair.state()) is Code.STALE_RECEIPT


def test_two_receipts_of_one_number_prove_who_signed_them():
    pair = Pair(prompt=0)
    pair.deliver(100)
    half = pair.state()
    assert pair.buyer.find_equivocation(half) is None
    first = pair.buyer.check(half)
    assert first is not None
    other = msgspec.structs.replace(first, tokens_out=99, tokens_billed=99)
    twin = HalfSignedReceipt(encode(other), sign(other, PROVIDER))
    proof = pair.buyer.find_equivocation(twin)
    assert proof is not None
    assert (proof.first, proof.second) == (half, twin)
    forged = HalfSignedReceipt(encode(other), sign(other, STRANGER))
    assert pair.buyer.find_equivocation(forged) is None
    later = msgspec.structs.replace(other, seq=2)
    assert (
        pair.buyer.find_equivocation(HalfSignedReceipt(encode(later), sign(later, PROVIDER)))
        is None
    )


# --- whatever the other side does ----------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    prompt=st.integers(0, 9_000),
    steps=st.lists(
        st.tuples(st.integers(0, 1_500), st.integers(0, 3), st.integers(-2, 4)), max_size=30
    ),
)
def test_provider_never_loses_more_than_the_window(prompt: int, steps):
    pair = Pair(prompt=prompt)
    made: list[Receipt] = []
    signed = 0
    for tokens, kind, choice in steps:
        if pair.seller.has_lots(tokens) and pair.seller.may_deliver(tokens):
            pair.deliver(tokens)
        if pair.seller.find_due_ms() is not None:
            half = pair.state()
            made.append(msgspec.msgpack.decode(half.receipt, type=Receipt))
        if made and kind:
            # Signs late, twice, out of order, wrongly, or not at all.
            receipt = made[choice % len(made)]
            try:
                best = pair.seller.take_signature(
                    receipt.seq, sign(receipt, BUYER if kind > 1 else STRANGER)
                )
            except Refused:
                best = None
            if best is not None:
                assert receipt.tokens_billed >= signed
                signed = receipt.tokens_billed
        risk = WINDOW_TOKENS + (0 if signed else TERMS.count_billed(prompt, 0))
        assert pair.seller.billed - signed == pair.seller.unacknowledged <= risk
        assert pair.seller.billed <= TERMS.tokens_max


@settings(max_examples=60, deadline=None)
@given(
    prompt=st.integers(0, 9_000),
    steps=st.lists(
        st.tuples(
            st.integers(0, 1_500),
            st.integers(-50, 2_500),
            st.integers(-1, 3),
            st.booleans(),
        ),
        max_size=30,
    ),
)
def test_buyer_never_pays_for_more_than_it_has_received(prompt: int, steps):
    buyer = PurchaseMeter(TERMS, SALT, VERIFIER)
    buyer.begin(b"question", prompt)
    twin = DeliveryMeter(TERMS, SALT, VERIFIER)
    twin.begin(b"question", prompt, 0)
    received = seq = 0
    for tokens, lie, step, honest in steps:
        buyer.receive(b"piece", tokens)
        twin.deliver(b"piece", tokens, 0)
        received += tokens
        seq = max(1, seq + step)
        out = max(0, received + (0 if honest else lie))
        receipt = msgspec.structs.replace(
            twin.make_receipt(),
            seq=seq,
            tokens_out=out,
            tokens_billed=TERMS.count_billed(prompt if out else 0, out),
            tokens_in=prompt if out else 0,
        )
        before = buyer.last
        try:
            signed = buyer.check(HalfSignedReceipt(encode(receipt), sign(receipt, PROVIDER)))
        except Refused:
            signed = None
        if signed is None:
            assert buyer.last == before
        else:
            assert signed.tokens_out <= add_tolerance(received)
            assert signed.tokens_in <= add_tolerance(prompt if received else 0)
            assert before is None or (
                signed.seq > before.seq and signed.tokens_billed >= before.tokens_billed
            )
