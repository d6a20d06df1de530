"""Publications wait for the network while it has more to carry than it can.

Without this a node that publishes faster than its peers take fills its queues, then drops what no
longer fits, and reconciliation sends all of it once more, which slows everybody further. The
majority of the peers sets the pace, so that a few slow or hostile ones cannot; and nobody can hold
a publication for longer than a bound, after which it goes its way through the journal.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshnode.transport.base import Channel, PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshnode.transport.base import Transport

QUEUED_BYTES_MAX: Final = 256 * 1024
"""A peer for which more than this is queued is behind: as much again is on its way to it."""
PATIENCE_S: Final = 1.0
"""A jam that lasts longer than this holds nobody any more."""
_REST_S: Final = 0.002


class Pace:
    """Where publishers wait, one after the other."""

    def __init__(self, transport: Transport, get_peers: Callable[[], Sequence[str]]) -> None:
        self._transport = transport
        self._get_peers = get_peers
        self._turn = asyncio.Lock()
        self._jammed_s: float | None = None
        """Since when the majority is behind."""

    async def wait(self) -> None:
        """Until most peers have room, or the jam has lasted too long."""
        async with self._turn:
            while self._must_wait():
                # The port does not tell when there is room again.
                await asyncio.sleep(_REST_S)  # noqa: ASYNC110

    def _must_wait(self) -> bool:
        if not self._is_jammed():
            self._jammed_s = None
            return False
        now_s = asyncio.get_running_loop().time()
        if self._jammed_s is None:
            self._jammed_s = now_s
        return now_s - self._jammed_s < PATIENCE_S

    def _is_jammed(self) -> bool:
        peers = self._get_peers()
        queued_bytes = self._transport.queued_bytes
        behind = sum(
            queued_bytes(PeerId(peer), Channel.CONTROL) > QUEUED_BYTES_MAX for peer in peers
        )
        return 2 * behind > len(peers)
