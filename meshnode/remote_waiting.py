"""Waiting for what a node in another process comes to: a part of `RemoteNode`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from meshnode.errors import DeadlineExceeded

if TYPE_CHECKING:
    from meshnode.views import NodeStatus

POLL_MS: Final = 50
"""Its events say no more than its status does, and one may be missed before the first is read."""


class RemoteWaiting(ABC):
    """Until the node has peers."""

    @abstractmethod
    async def status(self) -> NodeStatus:
        """The node at a glance."""

    async def wait_for_peers(self, count: int = 1, *, timeout_ms: int) -> None:
        """Until so many peers are connected and ready. Raises `DeadlineExceeded`."""
        ready = 0
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                while (ready := (await self.status()).peers_ready) < count:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_MS / 1_000)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{ready} of {count} peers were ready within {timeout_ms} ms",
                hint="`meshnode peers` lists what was tried",
            ) from None
