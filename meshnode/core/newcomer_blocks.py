"""How many newcomers one node lets into an open network, by the block of addresses they come from.

The order takes newcomers in slowly, in turn (`consensus.roll`). Identities cost nothing, so one operator
could fill the queue in which everybody waits, and every store with profiles. Addresses do cost
something: of one public /16 (IPv6: /32) a node lets few in per hour, and of all together twice as many as
the network takes in, so that there is a queue. Whoever is turned away may come by another member, or later. Each node decides
for itself; what others have let in, and what blocks name, it takes.
"""

from __future__ import annotations

from typing import Final

from meshnode.core.address_group import find_group
from meshnode.core.token_bucket import TokenBucket

HOUR_MS: Final = 3_600_000
BLOCK_MAX: Final = 8
"""Newcomers of one block per hour."""
QUEUE_FACTOR: Final = 2
QUEUE_MIN: Final = 32
"""Newcomers of all blocks per hour, whatever the network takes in."""
BLOCKS_MAX: Final = 4_096
"""Blocks that are remembered; the one that was silent for longest makes room."""


class NewcomerBlocks:
    """Who came lately, by block."""

    def __init__(self, joins_per_hour: int) -> None:
        """Take what the network takes in per hour; 0 for no limit."""
        self._blocks: dict[str, TokenBucket] = {}
        count = max(QUEUE_MIN, QUEUE_FACTOR * joins_per_hour)
        self._all = TokenBucket(HOUR_MS // count if joins_per_hour else 0, count)

    def let_in(self, now_ms: int, address: str) -> bool:
        """Whether one more may come from an address; then it counts."""
        if self._all.gap_ms and not self._all.has_token(now_ms):
            return False
        group = find_group(address)
        if group and not self._get(group).take(now_ms):
            return False
        self._all.spend(now_ms)
        return True

    def _get(self, group: str) -> TokenBucket:
        bucket = self._blocks.pop(group, None) or TokenBucket(HOUR_MS // BLOCK_MAX, BLOCK_MAX)
        self._blocks[group] = bucket
        if len(self._blocks) > BLOCKS_MAX:
            del self._blocks[next(iter(self._blocks))]
        return bucket
