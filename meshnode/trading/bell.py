"""Waiting for the market to change, within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Bell:
    """Rings at every commit, and whenever something else has changed that somebody waits for."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._rings = 0

    @property
    def rings(self) -> int:
        """How often it has rung."""
        return self._rings

    def ring(self) -> None:
        """Wake everybody who waits."""
        self._rings += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, *, timeout_ms: int) -> bool:
        """Until it rings; False when that took too long."""
        rung = self._rung
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await rung.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for(self, find: Callable[[], T | None], *, timeout_ms: int) -> T | None:
        """What `find` finds, as soon as it finds something; None when that took too long."""
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                while True:
                    rung = self._rung
                    found = find()
                    if found is not None:
                        return found
                    await rung.wait()
        except TimeoutError:
            return find()
