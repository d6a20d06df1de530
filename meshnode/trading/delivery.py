"""One answer that is paid for, at the side that gives it: invoices go out between its pieces."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from market.errors import Code, Refused
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import InvalidSignature, MalformedMessage
from meshnode.serving.desk import Piece
from meshnode.serving.protocol import Done, Invoice
from meshnode.trading.bell import Bell
from meshnode.trading.counting import AnswerCounter, count_question
from meshnode.trading.records import Record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from market.metering import DeliveryMeter
    from meshnode.serving.desk import Progress
    from meshnode.serving.protocol import Countersign
    from meshnode.trading.room import TradingRoom

SIGNATURE_MS: Final = 10_000
"""How long a buyer may owe a signature where one is needed to go on."""


class PaidDelivery:
    """`meshnode.serving.port.Delivery` of one contract."""

    def __init__(self, room: TradingRoom, meter: DeliveryMeter, record: Record, model: str) -> None:
        self._room = room
        self._meter = meter
        self._record = record
        self._model = model
        self._counter = AnswerCounter()
        self._signed = Bell()

    @property
    def model(self) -> str:
        """The model of the own engine that the contract is for."""
        return self._model

    def begin(self, body: bytes, request: Mapping[str, Any]) -> None:
        """The question has arrived whole."""
        del request  # the body says it all
        self._meter.begin(body, count_question(body), self._room.port.now_ms())

    async def meter(
        self, progress: AsyncGenerator[Progress, None]
    ) -> AsyncGenerator[Progress | Invoice, None]:
        """The answer with its invoices between; it waits where signatures are owed."""
        upcoming: asyncio.Task[Progress | None] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.create_task(_read(progress), name="paid answer")
                await asyncio.wait({upcoming}, timeout=self._find_wait_s())
                if not upcoming.done():
                    yield await self._make_invoice()
                    continue
                item, upcoming = await self._take(upcoming), None
                if item is None:
                    return
                if isinstance(item, Piece):
                    async for invoice in self._make_room(self._counter.add(item.chunk), item.data):
                        yield invoice
                elif isinstance(item, Done):
                    yield await self._make_invoice(final=True)
                if isinstance(item, EngineError):
                    if self._meter.billed:
                        yield await self._make_invoice(final=True)
                        await self._wait_signed()
                    raise item
                yield item
                if isinstance(item, Done):
                    await self._wait_signed()
                elif self._is_due():
                    yield await self._make_invoice()
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.wait({upcoming})

    async def countersign(self, frame: Countersign) -> None:
        """The buyer has signed. Raises `InvalidMessage` for what is no signature of it."""
        try:
            best = self._meter.take_signature(frame.seq, frame.signature)
        except Refused as refusal:
            if refusal.reason is Code.BAD_SIGNATURE:
                raise InvalidSignature(refusal.message) from None
            raise MalformedMessage(refusal.message) from None
        if best is not None:
            record = self._record
            self._record = Record(record.contract, record.role, record.begun_ms, best)
            await self._room.records.put(self._record)
            self._signed.ring()

    def close(self) -> None:
        """The stream is over, however it ended."""
        self._room.sessions.end(self._record.contract)

    # --- inside ----------------------------------------------------------------------------------

    async def _take(self, upcoming: asyncio.Task[Progress | None]) -> Progress | EngineError | None:
        try:
            return upcoming.result()
        except EngineError as error:
            return error

    async def _make_room(self, tokens: int, data: bytes) -> AsyncGenerator[Invoice, None]:
        """Count a piece that goes out next, once contract and window have room for it."""
        meter = self._meter
        if not meter.has_lots(tokens):
            if meter.billed:
                yield await self._make_invoice(final=True)
                await self._wait_signed()
            raise EngineError(
                EngineFault.OUT_OF_QUOTA,
                "the lots of the contract are used up",
                hint="bid for more, or ask for a shorter answer",
            )
        while not meter.may_deliver(tokens):
            if meter.find_due_ms() is not None:
                yield await self._make_invoice()
                continue  # the signature may have come while it was sent
            oldest_ms = meter.find_oldest_ms()
            if oldest_ms is None:
                raise EngineError(
                    EngineFault.MALFORMED, f"the engine gave a piece of {tokens} tokens at once"
                )
            await self._wait_signature(oldest_ms)
        meter.deliver(data, tokens, self._room.port.now_ms())

    async def _wait_signature(self, since_ms: int) -> None:
        """Until a signature comes. Raises `EngineError` when one is owed for too long."""
        left_ms = since_ms + SIGNATURE_MS - self._room.port.now_ms()
        if left_ms <= 0 or not await self._signed.wait(timeout_ms=left_ms):
            raise EngineError(
                EngineFault.OUT_OF_QUOTA,
                f"the buyer has signed nothing for {SIGNATURE_MS} ms",
                hint="sign what is delivered, and ask again",
            )

    async def _wait_signed(self) -> None:
        """Until the last word is signed, or for as long as that may take."""
        await self._signed.wait_for(lambda: self._meter.is_settled or None, timeout_ms=SIGNATURE_MS)

    def _find_wait_s(self) -> float | None:
        """How long to wait for the next piece until a receipt is due; None while none will be."""
        due_ms = self._meter.find_due_ms()
        return None if due_ms is None else max(0, due_ms - self._room.port.now_ms()) / 1_000

    def _is_due(self) -> bool:
        due_ms = self._meter.find_due_ms()
        return due_ms is not None and due_ms <= self._room.port.now_ms()

    async def _make_invoice(self, *, final: bool = False) -> Invoice:
        receipt = self._meter.make_receipt(final=final)
        signature = await self._room.port.sign(receipt)
        half = self._meter.add_receipt(receipt, signature, self._room.port.now_ms())
        return Invoice(half.receipt, half.signature)


async def _read(progress: AsyncGenerator[Progress, None]) -> Progress | None:
    return await anext(progress, None)
