"""The gate in front of an engine: so many requests run, so many wait, the rest are refused."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineError, EngineFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OVERLOAD_RETRY_AFTER_MS = 1_000


class SlotGate:
    """Admits `slots` requests at once; at most `waiting_max` more wait, first come first served."""

    def __init__(self, engine: str, *, slots: int, waiting_max: int) -> None:
        self._engine = engine
        self._free = slots
        self._waiting_max = waiting_max
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the gate admits nobody any more."""
        return self._closed.is_set()

    def closed_error(self) -> EngineError:
        """What a request meets that comes too late, or is cut short by `close`."""
        return EngineError(
            EngineFault.UNREACHABLE, f"the {self._engine} engine was closed", hint="ask another one"
        )

    async def acquire(self) -> None:
        """Take a slot, waiting for one if need be. Raises `EngineError` when full or closed."""
        if self.closed:
            raise self.closed_error()
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiters) >= self._waiting_max:
            raise EngineError(
                EngineFault.OVERLOADED,
                f"the {self._engine} engine has {len(self._waiters)} requests waiting",
                retry_after_ms=OVERLOAD_RETRY_AFTER_MS,
                hint="retry later or ask another peer",
            )
        await self._wait_for_turn()

    async def _wait_for_turn(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:
                self.release()  # the slot was handed over in the very tick of the cancellation
            raise
        if self.closed:
            raise self.closed_error()

    def release(self) -> None:
        """Give a slot back; the longest waiting request gets it."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for the length of a block."""
        await self.acquire()
        try:
            yield
        finally:
            self.release()

    async def pause(self, delay_ms: int) -> None:
        """Wait that long, or raise `EngineError` as soon as the gate closes."""
        try:
            async with asyncio.timeout(delay_ms / 1000):
                await self._closed.wait()
        except TimeoutError:
            return
        raise self.closed_error()

    def close(self) -> None:
        """Admit nobody any more; those who wait are refused at once."""
        self._closed.set()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(self.closed_error())
