"""The side that sells: which tasks it takes, and which questions its contracts owe an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from market.metering import DeliveryMeter, make_terms
from market.receipts import ReceiptVerifier
from meshnode.engines.base import EngineError, EngineFault
from meshnode.serving.slots import QUEUED_PER_SLOT
from meshnode.trading.delivery import PaidDelivery
from meshnode.trading.models import find_engine_model
from meshnode.trading.records import Record

if TYPE_CHECKING:
    from market.contracts import Contract
    from meshnode.serving.desk import Desk
    from meshnode.serving.protocol import PaidAsk
    from meshnode.trading.room import TradingRoom

ACCEPTED_MS: Final = 2_000
"""The buyer may have seen the commit that takes a task a moment before this node."""


class Seller:
    """`meshnode.serving.port.Deliveries` of a node with an engine."""

    def __init__(self, room: TradingRoom, desk: Desk) -> None:
        self._room = room
        self._desk = desk
        self._taken: dict[bytes, None] = {}
        """Contracts that this node has said it takes."""
        room.is_wanted = self.is_wanted

    def is_wanted(self, contract: Contract) -> bool:
        """Whether to take a task: the engine serves it, may be shared, and has a place for it."""
        if contract.id in self._taken:
            return True
        desk = self._desk
        if desk.is_draining or not desk.engine.shareable or self._find_model(contract) is None:
            return False
        contracts = self._room.port.market.contracts
        owed = {
            row.id: None
            for row in contracts.rows.rows()
            if row.provider == self._room.port.account and row.phase == "delivering"
        }
        self._taken = {each: None for each in self._taken if each in contracts.rows}
        pending = [
            each for each in {**owed, **self._taken} if not self._room.sessions.is_released(each)
        ]
        if len(pending) >= self._desk.engine.slots * (1 + QUEUED_PER_SLOT):
            return False
        self._taken[contract.id] = None
        return True

    async def open(self, ask: PaidAsk, requester: bytes) -> PaidDelivery:
        """Begin the one answer of a contract. Raises `EngineError` where none is owed."""
        room = self._room
        contract = await room.bell.wait_for(
            lambda: self._find_contract(ask.contract), timeout_ms=ACCEPTED_MS
        )
        model = None if contract is None else self._find_model(contract)
        if contract is None or contract.buyer != requester or model is None:
            raise _refuse("no contract of yours is delivered here")
        if room.records.get(contract.id) is not None:
            raise _refuse("the answer of this contract has been given")
        record = Record(contract.id, "provider", room.port.now_ms())
        room.sessions.begin(contract.id)
        try:
            await room.records.put(record)
        except BaseException:
            room.sessions.end(contract.id)
            raise
        verifier = ReceiptVerifier(room.port.network, room.port.suite, room.port.keys)
        meter = DeliveryMeter(make_terms(room.port.network, contract), ask.salt, verifier)
        return PaidDelivery(room, meter, record, model)

    def _find_contract(self, name: bytes) -> Contract | None:
        row = self._room.port.market.contracts.rows.get(name)
        ours = row is not None and row.provider == self._room.port.account
        return row if ours and row is not None and row.phase == "delivering" else None

    def _find_model(self, contract: Contract) -> str | None:
        row = self._room.port.market.compliance.models.get(contract.model)
        served = tuple(model.id for model in self._desk.models)
        return None if row is None else find_engine_model(row.model_variant, served)


def _refuse(message: str) -> EngineError:
    return EngineError(EngineFault.FORBIDDEN, message, hint="bid for another contract")
