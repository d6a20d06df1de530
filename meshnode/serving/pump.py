"""One task per answer drives the engine; its reader may wait with a time-out, or go away."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineError, EngineFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.engines.base import ChatRequest, Chunk, Engine

CHUNKS_AHEAD_MAX = 64
"""How far the engine may run ahead of a slow reader."""
STOP_MS = 1_000
"""An engine has this long to stop once its answer is not wanted any more."""


class Pump:
    """The chunks of one answer, as they come."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Chunk | EngineError | None] = asyncio.Queue(CHUNKS_AHEAD_MAX)

    async def next_chunk(self, timeout_ms: int) -> Chunk | None:
        """The next chunk, None at the end.

        Raises `TimeoutError` when none came in time (call again), `EngineError` when the engine
        failed.
        """
        async with asyncio.timeout(timeout_ms / 1000):
            item = await self._queue.get()
        if isinstance(item, EngineError):
            raise item
        return item

    async def run(self, engine: Engine, request: ChatRequest) -> None:
        """Read the engine to its end."""
        try:
            async with AsyncExitStack() as stack:
                chunks = engine.chat(request)
                close = getattr(chunks, "aclose", None)
                if close is not None:  # async generators have it; plain iterators need not
                    stack.push_async_callback(close)
                async for chunk in chunks:
                    await self._queue.put(chunk)
        except EngineError as error:
            await self._queue.put(error)
        # An engine may wrap any foreign library: whatever else it raises is its own failure, and
        # must neither end this node nor leave the asker waiting.
        except Exception as error:  # noqa: BLE001
            await self._queue.put(
                EngineError(
                    EngineFault.INTERNAL,
                    f"the {engine.name} engine failed: {type(error).__name__}",
                    hint="ask another peer",
                )
            )
        else:
            await self._queue.put(None)


@asynccontextmanager
async def pump_chunks(engine: Engine, request: ChatRequest) -> AsyncIterator[Pump]:
    """Run an engine in a task of its own; leaving the block stops it."""
    pump = Pump()
    task = asyncio.create_task(pump.run(engine, request), name=f"engine {engine.name}")
    try:
        yield pump
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=STOP_MS / 1000)
