"""Publications wait while a peer has more on its way to it than it takes.

Without this a node that publishes faster than its peers admit fills their queues. Vertices then
reach a peer seconds apart from the parents they stand on, fill its quarantine, are dropped and
fetched again, which slows everybody further. So the slowest peer sets the pace, but only for a
moment: whoever stays behind for longer than `PATIENCE_S` has no say for `IGNORED_S`, so that a
hostile or broken peer costs a publisher a small share of its time. What such a peer misses
reconciliation brings it later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshnode.transport.base import Channel, PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshnode.transport.base import Transport

QUEUED_BYTES_MAX: Final = 64 * 1024
"""A peer for which more than this is queued is behind; some more is on the wire already."""
PATIENCE_S: Final = 1.0
IGNORED_S: Final = 10.0
_REST_S: Final = 0.002


class Pace:
    """Where publishers wait, one after the other."""

    def __init__(self, transport: Transport, get_peers: Callable[[], Sequence[str]]) -> None:
        self._transport = transport
        self._get_peers = get_peers
        self._turn = asyncio.Lock()
        self._behind_s: dict[str, float] = {}
        """Since when a peer is behind."""
        self._ignored_s: dict[str, float] = {}
        """Until when a peer has no say."""

    async def wait(self) -> None:
        """Until no peer is behind, but for those that were for too long."""
        async with self._turn:
            # The port does not tell when there is room again.
            while self._must_wait():  # noqa: ASYNC110
                await asyncio.sleep(_REST_S)

    def _must_wait(self) -> bool:
        queued_bytes = self._transport.queued_bytes
        behind = [
            peer
            for peer in self._get_peers()
            if queued_bytes(PeerId(peer), Channel.CONTROL) > QUEUED_BYTES_MAX
        ]
        if not behind and not self._behind_s:
            return False
        return self._judge(behind)

    def _judge(self, behind: Sequence[str]) -> bool:
        """Whether any of those that are behind is still waited for."""
        now_s = asyncio.get_running_loop().time()
        self._behind_s = {peer: self._behind_s.get(peer, now_s) for peer in behind}
        self._ignored_s = {peer: at for peer, at in self._ignored_s.items() if at > now_s}
        waited_for = False
        for peer, since_s in self._behind_s.items():
            if now_s - since_s >= PATIENCE_S:
                self._ignored_s[peer] = now_s + IGNORED_S
            waited_for = waited_for or peer not in self._ignored_s
        return waited_for
