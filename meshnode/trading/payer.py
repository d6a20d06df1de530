"""One answer that is paid for, at the side that asks: it signs what it has received, and only that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from market.errors import Refused
from market.metering import PurchaseMeter, Terms
from market.receipts import HalfSignedReceipt, ReceiptVerifier, SignedReceipt
from meshnode.serving.protocol import Countersign
from meshnode.trading.counting import AnswerCounter, count_question
from meshnode.trading.errors import InvoiceRefused
from meshnode.trading.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from market.receipts import Receipt
    from meshnode.serving.desk import Piece
    from meshnode.serving.protocol import Invoice
    from meshnode.trading.room import TradingRoom


class ContractPayer:
    """`meshnode.serving.port.Payer` of one contract."""

    def __init__(self, room: TradingRoom, terms: Terms, salt: bytes) -> None:
        self.terms: Final = terms
        self._room = room
        self._salt = salt
        verifier = ReceiptVerifier(room.port.network, room.port.suite, room.port.keys)
        self._meter = PurchaseMeter(terms, salt, verifier)
        self._counter = AnswerCounter()
        self._record = Record(terms.contract, "buyer", room.port.now_ms())
        self._signed: Receipt | None = None
        self._receipts = 0

    @property
    def contract(self) -> bytes:
        """What pays."""
        return self.terms.contract

    @property
    def salt(self) -> bytes:
        """Begins the transcript."""
        return self._salt

    @property
    def receipt(self) -> Receipt | None:
        """The last one signed."""
        return self._signed

    @property
    def receipts(self) -> int:
        """How many were signed."""
        return self._receipts

    @property
    def cost_uruv(self) -> int:
        """What is owed by what was signed."""
        return self.terms.compute_cost(self._signed)

    def begin(self, body: bytes, request: Mapping[str, Any]) -> None:
        """The question goes out."""
        del request  # the body says it all
        self._meter.begin(body, count_question(body))

    def receive(self, piece: Piece) -> None:
        """A piece of the answer has come."""
        self._meter.receive(piece.data, self._counter.add(piece.chunk))

    async def countersign(self, invoice: Invoice) -> Countersign | None:
        """The signature on an invoice. Raises `InvoiceRefused` for one that is not so."""
        half = HalfSignedReceipt(invoice.receipt, invoice.signature)
        try:
            receipt = self._meter.check(half)
        except Refused as refusal:
            raise InvoiceRefused(f"an invoice is not signed: {refusal.message}") from None
        if receipt is None:
            proof = self._meter.find_equivocation(half)
            if proof is not None:
                self._room.accuse(proof)
                raise InvoiceRefused("the provider has signed two invoices of one number")
            return None
        signature = await self._room.port.sign(receipt)
        record, signed = self._record, SignedReceipt(half.receipt, signature, half.signature)
        self._record = Record(record.contract, record.role, record.begun_ms, signed)
        # Durable before it leaves: after a crash the provider's due must not depend on it alone.
        await self._room.records.put(self._record)
        self._signed, self._receipts = receipt, self._receipts + 1
        return Countersign(receipt.seq, signature)
