"""Which blocks each validator is known to have, so that it is sent what it lacks and no more.

Who made a block has everything below it. Who was sent a block was sent everything below it that
it was not known to have, so it has that too, as long as the connection stood; what rests on
sending alone is forgotten with the connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.block import Block
from consensus.block_store import BlockStore


class Knowledge:
    """Keeps bits of validators beside blocks; both kinds are closed downwards."""

    def __init__(self, store: BlockStore) -> None:
        self._store = store
        self._proven: dict[bytes, int] = {}
        self._sent: dict[bytes, int] = {}

    def has(self, author: int, block_id: bytes) -> bool:
        """Whether a validator is known to have a block."""
        known = self._proven.get(block_id, 0) | self._sent.get(block_id, 0)
        return bool(known >> author & 1)

    def on_block(self, block: Block) -> None:
        """An accepted block proves what its author has."""
        bit = 1 << block.author
        proven, get = self._proven, self._store.get
        proven[block.id] = proven.get(block.id, 0) | bit
        stack = [block]
        while stack:
            for ref in stack.pop().parents:
                key = ref.id
                known = proven.get(key, 0)
                if known & bit:
                    continue
                parent = get(key)
                if parent is not None:
                    proven[key] = known | bit
                    stack.append(parent)

    def on_sent(self, author: int, blocks: Iterable[Block]) -> None:
        """A validator was sent what `list_unknown` named."""
        for block in blocks:
            self._sent[block.id] = self._sent.get(block.id, 0) | 1 << author

    def on_disconnected(self, author: int) -> None:
        """What was sent may not have arrived."""
        keep = ~(1 << author)
        self._sent = {key: known & keep for key, known in self._sent.items() if known & keep}

    def list_unknown(
        self, author: int, roots: Iterable[Block], *, count_max: int
    ) -> tuple[Block, ...]:
        """Blocks and their histories as far as a validator is not known to have them.

        Parents first; where there are more than `count_max`, the lowest rounds, which are closed
        downwards too.
        """
        bit = 1 << author
        proven, sent, get = self._proven.get, self._sent.get, self._store.get
        found = {block.id: block for block in roots if not self.has(author, block.id)}
        stack = list(found.values())
        while stack:
            for ref in stack.pop().parents:
                key = ref.id
                if key in found or (proven(key, 0) | sent(key, 0)) & bit:
                    continue
                parent = get(key)
                if parent is not None:
                    found[key] = parent
                    stack.append(parent)
        ordered = sorted(found.values(), key=lambda block: (block.round, block.author, block.id))
        return tuple(ordered[:count_max])

    def prune(self) -> None:
        """Forget blocks that the store has forgotten."""
        store = self._store
        self._proven = {key: bits for key, bits in self._proven.items() if store.get(key)}
        self._sent = {key: bits for key, bits in self._sent.items() if store.get(key)}
