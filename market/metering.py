"""Both ends of a delivery: what the provider may hand out, and what the buyer signs for.

The provider counts what it delivers and states it in cumulative receipts. It never runs ahead of
the buyer's signatures by more than a window of two lots. A prompt is one piece of work that cannot
be cut: it counts with the first token of the answer, and is risked whole until the buyer has signed
once. The buyer signs nothing but what it has received by its own count. So neither side loses more
than the window, whatever the other one does; messages that are lost, repeated or in another order
change nothing.

Nothing is sent or signed here: receipts go out, signatures come in, time is an argument.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from dag.canonical import encode
from market.amounts import (
    BASIS_POINTS,
    LOT_TOKENS,
    compute_billed_tokens,
    compute_cost,
    divide_up,
)
from market.commands import ProveEquivocation
from market.contracts import Contract
from market.errors import Code, Refused
from market.receipts import (
    UNACKNOWLEDGED_LOTS_MAX,
    HalfSignedReceipt,
    Receipt,
    ReceiptVerifier,
    SignedReceipt,
)
from market.transcript import Transcript

RECEIPT_EVERY_MS: Final = 2_000
"""A provider asks for a signature after a lot, or after this long."""
TOLERANCE_BP: Final = 200
"""How far two honest counts of the same tokens may lie apart."""
WINDOW_TOKENS: Final = UNACKNOWLEDGED_LOTS_MAX * LOT_TOKENS
OUTSTANDING_MAX: Final = 64
"""Receipts that wait for the buyer's signature."""


class Terms(msgspec.Struct, frozen=True):
    """What metering has to know of a contract."""

    network: bytes
    contract: bytes
    buyer: bytes
    provider: bytes
    price: int
    lots: int
    in_weight_bp: int

    @property
    def tokens_max(self) -> int:
        """Billed tokens that are paid for."""
        return self.lots * LOT_TOKENS

    def count_billed(self, tokens_in: int, tokens_out: int) -> int:
        """Tokens that count."""
        return compute_billed_tokens(tokens_in, tokens_out, self.in_weight_bp)

    def compute_cost(self, receipt: Receipt | None) -> int:
        """What is owed by a receipt."""
        return 0 if receipt is None else compute_cost(self.price, receipt.tokens_billed)


def make_terms(network: bytes, contract: Contract) -> Terms:
    """The terms of a contract of a network."""
    return Terms(
        network,
        contract.id,
        contract.buyer,
        contract.provider,
        contract.price,
        contract.lots,
        contract.in_weight_bp,
    )


class _Outstanding(NamedTuple):
    half: HalfSignedReceipt
    receipt: Receipt
    made_ms: int


class DeliveryMeter:
    """The provider's end."""

    def __init__(self, terms: Terms, salt: bytes, verifier: ReceiptVerifier) -> None:
        self._terms = terms
        self._verifier = verifier
        self._transcript = Transcript(terms.network, terms.contract, salt)
        self._prompt = self._tokens_in = self._tokens_out = 0
        self._started_ms = self._receipt_ms = self._first_token_ms = 0
        self._stated = self._seq = self._signed_billed = 0
        self._is_final = False
        self._outstanding: dict[int, _Outstanding] = {}
        self._best: SignedReceipt | None = None

    @property
    def billed(self) -> int:
        """Tokens that count, of all that was delivered."""
        return self._terms.count_billed(self._tokens_in, self._tokens_out)

    @property
    def unacknowledged(self) -> int:
        """Billed tokens for which the buyer has not signed."""
        return self.billed - self._signed_billed

    @property
    def best(self) -> SignedReceipt | None:
        """The highest receipt that both sides have signed."""
        return self._best

    @property
    def is_settled(self) -> bool:
        """Whether the buyer has signed the last word."""
        return self._is_final and not self._outstanding

    def begin(self, request: bytes, tokens_in: int, now_ms: int) -> None:
        """A question has come; its tokens count once something is answered."""
        self._transcript.extend(request)
        self._prompt, self._started_ms = tokens_in, now_ms

    def has_lots(self, tokens: int) -> bool:
        """Whether the contract pays for so many tokens more."""
        return self._count_after(tokens) <= self._terms.tokens_max

    def may_deliver(self, tokens: int) -> bool:
        """Whether the window has room for so many tokens more."""
        window = WINDOW_TOKENS
        if not self._signed_billed:
            window += self._terms.count_billed(self._prompt, 0)
        return self._count_after(tokens) - self._signed_billed <= window

    def _count_after(self, tokens: int) -> int:
        return self._terms.count_billed(self._prompt, self._tokens_out + tokens)

    def deliver(self, data: bytes, tokens: int, now_ms: int) -> None:
        """A piece goes out. Check `has_lots` and `may_deliver` first."""
        assert not self._is_final, "nothing follows the last receipt"
        if not self._tokens_out and tokens:
            self._tokens_in = self._prompt
            self._first_token_ms = max(0, now_ms - self._started_ms)
            self._receipt_ms = now_ms
        self._transcript.extend(data)
        self._tokens_out += tokens

    def find_due_ms(self) -> int | None:
        """When a receipt is to be made; None while there is nothing new, or too much unsigned."""
        new = self.billed - self._stated
        if not new or self._is_final or len(self._outstanding) >= OUTSTANDING_MAX:
            return None
        return self._receipt_ms if new >= LOT_TOKENS else self._receipt_ms + RECEIPT_EVERY_MS

    def find_oldest_ms(self) -> int | None:
        """When the oldest receipt was made for which the buyer owes a signature."""
        return min((each.made_ms for each in self._outstanding.values()), default=None)

    def make_receipt(self, *, final: bool = False) -> Receipt:
        """State what was delivered so far; `add_receipt` follows once it is signed."""
        return Receipt(
            network=self._terms.network,
            contract=self._terms.contract,
            seq=self._seq + 1,
            tokens_in=self._tokens_in,
            tokens_out=self._tokens_out,
            tokens_billed=self.billed,
            first_token_ms=self._first_token_ms,
            transcript_root=self._transcript.root,
            final=final,
        )

    def add_receipt(self, receipt: Receipt, signature: bytes, now_ms: int) -> HalfSignedReceipt:
        """The own signature on what `make_receipt` gave; the buyer's is awaited from now on."""
        half = HalfSignedReceipt(encode(receipt), signature)
        self._seq, self._stated = receipt.seq, receipt.tokens_billed
        self._is_final, self._receipt_ms = receipt.final, now_ms
        self._outstanding[receipt.seq] = _Outstanding(half, receipt, now_ms)
        return half

    def take_signature(self, seq: int, signature: bytes) -> SignedReceipt | None:
        """The buyer has signed: the receipt if it is the highest now, None if it says nothing new.

        Raises `Refused` for a receipt that was never made and for a wrong signature.
        """
        if seq > self._seq:
            raise Refused(Code.BAD_RECEIPT, f"there is no receipt {seq}")
        waiting = self._outstanding.get(seq)
        if waiting is None:
            return None
        self._verifier.check_signature(waiting.half.receipt, self._terms.buyer, signature)
        # Receipts are cumulative: who signs one has signed all before it.
        self._outstanding = {
            number: each for number, each in self._outstanding.items() if number > seq
        }
        self._signed_billed = waiting.receipt.tokens_billed
        self._best = SignedReceipt(waiting.half.receipt, signature, waiting.half.signature)
        return self._best


class PurchaseMeter:
    """The buyer's end."""

    def __init__(self, terms: Terms, salt: bytes, verifier: ReceiptVerifier) -> None:
        self._terms = terms
        self._verifier = verifier
        self._transcript = Transcript(terms.network, terms.contract, salt)
        self._tokens_in = self._tokens_out = 0
        self._last: Receipt | None = None
        self._half: HalfSignedReceipt | None = None

    @property
    def last(self) -> Receipt | None:
        """The last receipt that was found right."""
        return self._last

    def begin(self, request: bytes, tokens_in: int) -> None:
        """A question goes out."""
        self._transcript.extend(request)
        self._tokens_in = tokens_in

    def receive(self, data: bytes, tokens: int) -> None:
        """A piece has come."""
        self._transcript.extend(data)
        self._tokens_out += tokens

    def check(self, half: HalfSignedReceipt) -> Receipt | None:
        """The receipt to sign, None for one that says nothing new. Raises `Refused`."""
        receipt = self._verifier.open(half.receipt)
        last = self._last
        if last is not None and receipt.seq <= last.seq:
            return None
        self._check_order(receipt)
        self._check_counts(receipt)
        if receipt.transcript_root != self._transcript.root:
            raise Refused(Code.BAD_RECEIPT, "it is for something else than what has come")
        self._verifier.check_signature(half.receipt, self._terms.provider, half.signature)
        self._last, self._half = receipt, half
        return receipt

    def find_equivocation(self, half: HalfSignedReceipt) -> ProveEquivocation | None:
        """The proof that the provider has signed two receipts of one number, if it has."""
        known, last = self._half, self._last
        if known is None or last is None or half.receipt == known.receipt:
            return None
        try:
            receipt = self._verifier.open(half.receipt)
            self._verifier.check_signature(half.receipt, self._terms.provider, half.signature)
        except Refused:
            return None
        if (receipt.contract, receipt.seq) != (last.contract, last.seq):
            return None
        return ProveEquivocation(known, half)

    def _check_order(self, receipt: Receipt) -> None:
        last = self._last
        if receipt.contract != self._terms.contract:
            raise Refused(Code.BAD_RECEIPT, "it is of another contract")
        if last is not None and last.final:
            raise Refused(Code.STALE_RECEIPT, "the last receipt was the last word")
        before = 0 if last is None else last.tokens_billed
        if receipt.tokens_billed <= before and not receipt.final:
            # Signing is work: nobody is made to do it for nothing.
            raise Refused(Code.BAD_RECEIPT, "it bills no more than the one before")
        if last is None:
            return
        if receipt.tokens_in < last.tokens_in or receipt.tokens_out < last.tokens_out:
            raise Refused(Code.BAD_RECEIPT, "it counts less than the one before")

    def _check_counts(self, receipt: Receipt) -> None:
        terms = self._terms
        for what, stated, counted in (
            ("read", receipt.tokens_in, self._tokens_in if self._tokens_out else 0),
            ("written", receipt.tokens_out, self._tokens_out),
        ):
            if stated > add_tolerance(counted):
                raise Refused(
                    Code.BAD_RECEIPT, f"it counts {stated} tokens {what} where {counted} are"
                )
        if receipt.tokens_billed != terms.count_billed(receipt.tokens_in, receipt.tokens_out):
            raise Refused(Code.BAD_RECEIPT, "it bills what its counts do not give")
        if receipt.tokens_billed > terms.tokens_max:
            raise Refused(Code.BAD_RECEIPT, "it bills more than the contract is for")


def add_tolerance(tokens: int) -> int:
    """The highest count that still passes for this one."""
    return tokens + divide_up(tokens * TOLERANCE_BP, BASIS_POINTS)
