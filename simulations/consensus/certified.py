"""I6: of the twins of a slot at most one is ever certified, in the blocks of all taken together.

Votes and certificates are counted here by their definition: at wave 3 a certificate is one block
whose own parents hold a quorum of votes, at wave 2 a quorum of votes certifies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.errors import CheckFailed

if TYPE_CHECKING:
    from consensus.block import Block
    from consensus.block_store import BlockStore
    from consensus.committee import Committee


class Certified:
    """Blocks of authors that make twins, and who stands behind them."""

    def __init__(self, committee: Committee, quorum: int, liars: dict[int, None]) -> None:
        self._committee = committee
        self._quorum = quorum
        self._liars = liars
        self._is_direct = committee.thresholds.wave == 2
        self._looked: dict[bytes, None] = {}
        self._voters: dict[bytes, int] = {}
        """At wave 2, who votes for a block, as bits."""
        self._chosen: dict[tuple[int, int], bytes] = {}

    def on_accepted(self, store: BlockStore, block: Block) -> None:
        """A block with all its parents is here; each is looked at once."""
        if not self._liars or block.id in self._looked:
            return
        self._looked[block.id] = None
        named = [store.get(ref.id) for ref in block.parents]
        below = [one for one in named if one is not None and one.round == block.round - 1]
        if self._is_direct:
            for parent in below:
                self._voters[parent.id] = self._voters.get(parent.id, 0) | 1 << block.author
                self._note(parent, self._voters[parent.id])
            return
        votes: dict[bytes, int] = {}
        for voter in below:
            for ref in voter.parents:
                votes[ref.id] = votes.get(ref.id, 0) | 1 << voter.author
        for block_id, voters in votes.items():
            candidate = store.get(block_id)
            if candidate is not None and candidate.round == block.round - 2:
                self._note(candidate, voters)

    def _note(self, candidate: Block, voters: int) -> None:
        if candidate.author not in self._liars or self._committee.weigh(voters) < self._quorum:
            return
        slot = (candidate.round, candidate.author)
        if self._chosen.setdefault(slot, candidate.id) != candidate.id:
            raise CheckFailed("I6 certified", f"both twins of slot {slot} are certified")
