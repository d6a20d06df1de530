"""Publications wait while a peer has more on its way to it than it takes.

Without this a node that publishes faster than its peers admit fills their queues. Vertices then
reach a peer seconds apart from the parents they stand on, fill its quarantine, are dropped and
fetched again, which slows everybody further. So the slowest peer sets the pace, but not for long:
whoever takes nothing for `PATIENCE_S`, or stays behind for `BEHIND_MAX_S`, has no say for
`IGNORED_S`, so that a few broken or hostile peers cost a publisher a share of its time and no more.
What they miss reconciliation brings them later. When most peers are behind and take what they can,
the whole mesh is busy, and publications wait as long as it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.transport.base import Channel, PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshnode.transport.base import Transport

QUEUED_BYTES_MAX: Final = 64 * 1024
"""A peer for which more than this is queued is behind; some more is on the wire already."""
PATIENCE_S: Final = 1.0
BEHIND_MAX_S: Final = 5.0
IGNORED_S: Final = 10.0
_REST_S: Final = 0.002


@dataclass(slots=True)
class _Lag:
    """A peer that is behind."""

    since_s: float
    progress_s: float
    """When its queue was last seen to shrink."""
    queued_bytes: int


class Pace:
    """Where publishers wait, one after the other."""

    def __init__(self, transport: Transport, get_peers: Callable[[], Sequence[str]]) -> None:
        self._transport = transport
        self._get_peers = get_peers
        self._turn = asyncio.Lock()
        self._lags: dict[str, _Lag] = {}
        self._ignored_s: dict[str, float] = {}
        """Until when a peer has no say."""

    async def wait(self) -> None:
        """Until no peer is behind, but for those that were for too long."""
        async with self._turn:
            # The port does not tell when there is room again.
            while self._must_wait():  # noqa: ASYNC110
                await asyncio.sleep(_REST_S)

    def _must_wait(self) -> bool:
        behind: dict[str, int] = {}
        peers = self._get_peers()
        for peer in peers:
            queued_bytes = self._transport.queued_bytes(PeerId(peer), Channel.CONTROL)
            if queued_bytes > QUEUED_BYTES_MAX:
                behind[peer] = queued_bytes
        if not behind and not self._lags:
            return False
        return self._judge(behind, len(peers))

    def _judge(self, behind: dict[str, int], peers: int) -> bool:
        """Whether those that are behind are still waited for."""
        now_s = asyncio.get_running_loop().time()
        self._ignored_s = {peer: at_s for peer, at_s in self._ignored_s.items() if at_s > now_s}
        lags: dict[str, _Lag] = {}
        moving = 0
        for peer, queued_bytes in behind.items():
            lag = lags[peer] = self._lags.get(peer) or _Lag(now_s, now_s, queued_bytes)
            if queued_bytes < lag.queued_bytes:
                lag.progress_s = now_s
            lag.queued_bytes = queued_bytes
            stuck = now_s - lag.progress_s >= PATIENCE_S
            moving += not stuck
            if stuck or now_s - lag.since_s >= BEHIND_MAX_S:
                self._ignored_s[peer] = now_s + IGNORED_S
        self._lags = lags
        return 2 * moving > peers or any(peer not in self._ignored_s for peer in lags)
