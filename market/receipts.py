"""Receipts: what both sides of a contract have signed about how much was delivered.

A receipt counts everything since the contract began, so the last one says it all and lost ones do
not matter. Receipts pass between the two sides while tokens stream; one of them reaches the chain.
Signatures are detached suite signatures, for a receipt exists before any vertex holds it. They bind
the network and, inside the receipt, the contract.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.crypto import compute_detached_message, sign_suite, verify_suite
from dag.errors import InvalidMessage
from dag.genesis import Suite
from dag.keys import PublicKeys, SecretKeys
from dag.types import COUNTER_MAX, ID_BYTES
from market.errors import Code, Refused

RECEIPT_DOMAIN: Final = b"meshnode/receipt/1"
RECEIPT_BYTES_MAX: Final = 256
UNACKNOWLEDGED_LOTS_MAX: Final = 2
"""Lots a provider delivers ahead of the buyer's signature: the most either side can lose."""


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was delivered under a contract, all together."""

    network: bytes
    contract: bytes
    seq: int
    """From 1; a later receipt has a higher one and counts at least as much."""
    tokens_in: int
    tokens_out: int
    tokens_billed: int
    first_token_ms: int
    """How long the first token took."""
    transcript_root: bytes
    """Of the salted transcript: plain text never comes here."""
    final: bool


class SignedReceipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A receipt's canonical bytes, and both signatures."""

    receipt: bytes
    buyer_signature: bytes
    provider_signature: bytes


class HalfSignedReceipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A receipt's canonical bytes, and one side's signature."""

    receipt: bytes
    signature: bytes


class KeyDirectory(Protocol):
    """Where authors' keys are found; `dag.authors.AuthorRegistry` is one."""

    def get_keys(self, author: bytes) -> PublicKeys | None:
        """An author's keys, None if it is unknown."""


_decoder: Final = CanonicalDecoder(Receipt, what="receipt", bytes_max=RECEIPT_BYTES_MAX)


def decode_receipt(data: bytes) -> Receipt:
    """Read a receipt and check what it alone can show. Raises `Refused`."""
    try:
        receipt = _decoder.decode(data)
    except InvalidMessage as error:
        raise Refused(Code.BAD_RECEIPT, error.message) from None
    ids = (receipt.network, receipt.contract, receipt.transcript_root)
    if any(len(each) != ID_BYTES for each in ids):
        raise Refused(Code.BAD_RECEIPT, f"network, contract and transcript are {ID_BYTES} bytes")
    counts = (
        receipt.tokens_in,
        receipt.tokens_out,
        receipt.tokens_billed,
        receipt.first_token_ms,
    )
    if receipt.seq < 1 or any(not 0 <= count <= COUNTER_MAX for count in (*counts, receipt.seq)):
        raise Refused(Code.BAD_RECEIPT, "a count is out of range")
    return receipt


def sign_receipt(suite: Suite, secrets: SecretKeys, receipt: Receipt) -> bytes:
    """One side's signature. Raises `UnusableKey`."""
    return sign_suite(suite, secrets, _compute_message(receipt.network, encode(receipt)))


class ReceiptVerifier:
    """Checks receipts of one network."""

    def __init__(self, network: bytes, suite: Suite, keys: KeyDirectory) -> None:
        self._network = network
        self._suite = suite
        self._keys = keys

    def open(self, data: bytes) -> Receipt:
        """Read a receipt of this network. Raises `Refused`."""
        receipt = decode_receipt(data)
        if receipt.network != self._network:
            raise Refused(Code.WRONG_NETWORK, "the receipt is of another network")
        return receipt

    def check_signature(self, data: bytes, author: bytes, signature: bytes) -> None:
        """Raises `Refused` unless this author signed this receipt."""
        if not self.is_signed(data, author, signature):
            raise Refused(Code.BAD_SIGNATURE, f"{author.hex()[:8]} has not signed the receipt")

    def is_signed(self, data: bytes, author: bytes, signature: bytes) -> bool:
        """Whether this author signed this receipt."""
        keys = self._keys.get_keys(author)
        message = _compute_message(self._network, data)
        return keys is not None and verify_suite(self._suite, keys, message, signature)


def _compute_message(network: bytes, data: bytes) -> bytes:
    return compute_detached_message(RECEIPT_DOMAIN, network, data)
