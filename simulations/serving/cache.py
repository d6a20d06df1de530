"""The memory of a replica: what running requests hold, and prefixes kept for the next one.

Memory is counted in tokens. Requests that run pin theirs; the rest keeps blocks of earlier prompts,
and the one that was used least lately goes first. A block is worth something only together with all
before it, and since a prompt touches its blocks front to back, tails go before heads.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulations.serving.traces import BLOCK_TOKENS


class PrefixCache:
    """Blocks of prompts, least lately used first."""

    def __init__(self, capacity_tokens: int) -> None:
        self.capacity_tokens = capacity_tokens
        self.pinned_tokens = 0
        self._blocks: dict[int, None] = {}
        self._touched: dict[int, None] = {}
        self._dropped: dict[int, None] = {}

    @property
    def usage(self) -> float:
        """The share of memory that running requests hold."""
        return self.pinned_tokens / self.capacity_tokens

    def match(self, blocks: Sequence[int]) -> int:
        """Tokens at a prompt's front that need not be computed again."""
        held = self._blocks
        count = 0
        for block in blocks:
            if block not in held:
                break
            count += 1
        return count * BLOCK_TOKENS

    def pin(self, tokens: int) -> bool:
        """Take memory for a request; False where others hold too much of it.

        A request that fits into no memory at all is let in alone: engines truncate, they never wait
        for ever.
        """
        if self.pinned_tokens and self.pinned_tokens + tokens > self.capacity_tokens:
            return False
        self.pinned_tokens += tokens
        self._evict()
        return True

    def unpin(self, tokens: int) -> None:
        """Give a request's memory back."""
        self.pinned_tokens -= tokens

    def keep(self, blocks: Sequence[int]) -> None:
        """Remember a prompt: what is its front counts as used last."""
        held, touched = self._blocks, self._touched
        for block in reversed(blocks):
            held.pop(block, None)
            held[block] = None
            touched.pop(block, None)
            touched[block] = None
            self._dropped.pop(block, None)
        self._evict()

    def take_changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Blocks that were used and blocks that went since the last call, the newest last."""
        changes = tuple(self._touched), tuple(self._dropped)
        self._touched.clear()
        self._dropped.clear()
        return changes

    def clear(self) -> None:
        """Forget all, as a process that was restarted does."""
        self._dropped.update(self._blocks)
        self._touched.clear()
        self._blocks.clear()
        self.pinned_tokens = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def _evict(self) -> None:
        room = max(0, self.capacity_tokens - self.pinned_tokens) // BLOCK_TOKENS
        held = self._blocks
        for block in [block for block, _ in zip(held, range(len(held) - room), strict=False)]:
            del held[block]
            self._touched.pop(block, None)
            self._dropped[block] = None
