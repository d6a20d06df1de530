"""Where this node's contracts are looked after: at every commit, and now and then on a quiet mesh."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from dag.canonical import encode
from dag.types import BODY_BYTES_MAX
from market.commands import PostReceipt
from market.receipts import decode_receipt
from meshnode.errors import MeshError
from meshnode.trading.bell import Bell
from meshnode.trading.records import KEPT_MS, DeliveryRecords
from meshnode.trading.sessions import Sessions
from meshnode.trading.settling import Standing, list_buyer_commands, list_provider_commands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from market.commands import Command, ProveEquivocation
    from market.contracts import Contract
    from meshnode.trading.port import TradePort

LOOK_EVERY_MS: Final = 1_000
"""A look without a commit, for what depends on this node's own time."""
IDLE_LOOK_MS: Final = 60_000
"""The same while the account has no contracts."""
LOOK_PAUSE_MS: Final = 10
SAID_AGAIN_MS: Final = 5_000
"""What has had no effect for so long is said again."""
AT_ONCE_MAX: Final = 30
"""Commands of one look: less than what an account may say at once."""
PACKED_BYTES_MAX: Final = BODY_BYTES_MAX - 64
"""For the commands of one vertex; the rest is for what holds them together."""
FILE_NAME: Final = "trading.db"


class TradingRoom:
    """Both roles of one account. `is_wanted` says whether a task would be taken now."""

    def __init__(self, port: TradePort, records: DeliveryRecords) -> None:
        self.port: Final = port
        self.records: Final = records
        self.bell: Final = Bell()
        self.sessions: Final = Sessions(self.bell, port.now_ms)
        self.is_wanted: Callable[[Contract], bool] = _decline
        self._said_ms: dict[Command, int] = {}
        self._has_own = False
        self._proofs: list[ProveEquivocation] = []

    def accuse(self, proof: ProveEquivocation) -> None:
        """Show the market that a provider has contradicted itself."""
        self._proofs.append(proof)
        self.bell.ring()

    async def run(self) -> None:
        """Look after all contracts until cancelled, or until the node ends."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.port.follow(self.bell.ring))
            looking = tasks.create_task(self._look_again_and_again())
            await following
            looking.cancel()

    async def _look_again_and_again(self) -> None:
        forgotten_ms = self.port.now_ms()
        while True:
            rings = self.bell.rings
            await self.look()
            if self.bell.rings == rings:
                await self.bell.wait(timeout_ms=LOOK_EVERY_MS if self._has_own else IDLE_LOOK_MS)
            # Commits may come faster than it is worth looking.
            await asyncio.sleep(LOOK_PAUSE_MS / 1_000)
            if self.port.now_ms() - forgotten_ms > KEPT_MS:
                forgotten_ms = self.port.now_ms()
                await self.records.forget_before(forgotten_ms - KEPT_MS)

    async def look(self) -> None:
        """Say whatever is to be said now."""
        for commands in pack(self._choose_commands()):
            now_ms = self.port.now_ms()
            try:
                await self.port.submit(commands, wait_ms=0)
            except MeshError:
                return  # the queue of own vertices is full, or the node ends: said at the next look
            for command in commands:
                self._said_ms[command] = now_ms
                if isinstance(command, PostReceipt):
                    self.sessions.note_posted(decode_receipt(command.receipt.receipt).contract)

    def _choose_commands(self) -> list[Command]:
        now_ms = self.port.now_ms()
        own = self._list_own()
        self._has_own = bool(own)
        self.sessions.keep({contract.id: None for contract in own})
        self._said_ms = {
            command: said_ms
            for command, said_ms in self._said_ms.items()
            if now_ms - said_ms < SAID_AGAIN_MS
        }
        proofs, self._proofs = self._proofs, []
        wanted: list[Command] = [*proofs]
        for contract in own:
            wanted += self._list_commands(contract)
        return [command for command in wanted if command not in self._said_ms][:AT_ONCE_MAX]

    def _list_own(self) -> list[Contract]:
        """Own live contracts, the oldest first, so that none waits behind newer ones for ever."""
        account = self.port.account
        rows = self.port.market.contracts.rows.rows()
        own = [row for row in rows if account in (row.buyer, row.provider)]
        return sorted(own, key=lambda row: (row.opened_ms, row.id))

    def _list_commands(self, contract: Contract) -> tuple[Command, ...]:
        sessions = self.sessions
        standing = Standing(
            self.records.get(contract.id),
            sessions.is_live(contract.id),
            sessions.count_quiet_ms(contract.id),
            sessions.is_released(contract.id),
        )
        if contract.provider == self.port.account:
            wanted = contract.phase == "locked" and self.is_wanted(contract)
            return list_provider_commands(contract, standing, is_wanted=wanted)
        return list_buyer_commands(contract, standing)


def pack(commands: Sequence[Command]) -> Iterator[tuple[Command, ...]]:
    """Commands in groups that fit a vertex each: two receipts with both signatures fill one."""
    group: list[Command] = []
    size_bytes = 0
    for command in commands:
        size_bytes += len(encode(command))
        if group and size_bytes > PACKED_BYTES_MAX:
            yield tuple(group)
            group, size_bytes = [], len(encode(command))
        group.append(command)
    if group:
        yield tuple(group)


def _decline(_: Contract) -> bool:
    """Without an engine no task is taken."""
    return False


@asynccontextmanager
async def open_room(port: TradePort, folder: Path) -> AsyncIterator[TradingRoom]:
    """A room that looks after the account's contracts while the block runs."""
    records = await DeliveryRecords.open(folder / FILE_NAME, now_ms=port.now_ms())
    room = TradingRoom(port, records)
    task = asyncio.create_task(room.run(), name="trading")
    try:
        yield room
    finally:
        task.cancel()
        await asyncio.wait({task})
        await records.close()
        if not task.cancelled():
            task.result()  # what made it end by itself
