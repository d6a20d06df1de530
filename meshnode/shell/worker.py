"""One named thread that runs blocking work in order, for callers in the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Worker:
    """A thread of its own for blocking calls. `close` when nothing more is to be run."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], _T]) -> _T:
        """The result of blocking work, after everything asked for earlier."""
        return await self.start(work)

    def start(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        """Begin blocking work; the future resolves in the running loop."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """Wait for everything asked for, then end the thread."""
        await self.run(_nothing)
        self._threads.shutdown(wait=True)


def _nothing() -> None:
    """Marks the end of a worker's queue."""
