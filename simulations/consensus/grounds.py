"""What a decision must rest on, by its definition and over blocks alone: slow, plain, independent.

A slot of round r is committed directly where a quorum of authors certifies its block, skipped
directly where a quorum votes for none of its blocks, and decided indirectly by a block at least a
wave above it. None of the kernel's counters is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from consensus.decision import Status
from simulations.errors import CheckFailed

if TYPE_CHECKING:
    from consensus.block import Block
    from consensus.block_store import BlockStore
    from consensus.decision import Decision

PROMISE = "grounds"


def compute_quorum(profile: str, stake: int) -> int:
    """The stake that a round, a certificate and a commit need, by the definition of a profile."""
    if profile == "bft3":
        return next(quorum for quorum in range(stake + 1) if 3 * quorum > 2 * stake)
    if profile == "cft":
        return next(quorum for quorum in range(stake + 1) if 2 * quorum > stake)
    return stake - (stake - 1) // 5


class Grounds:
    """Checks decisions of one committee's profile."""

    def __init__(self, profile: str, stakes: Iterable[int]) -> None:
        self._stakes = list(stakes)
        total = sum(self._stakes)
        self._quorum = compute_quorum(profile, total)
        self._skip = total if profile == "cft" else self._quorum
        self._wave = 3 if profile == "bft3" else 2

    def check(self, store: BlockStore, decision: Decision) -> None:
        """Raises `CheckFailed` for a decision that does not follow from the blocks held."""
        round_ = decision.slot.round
        if decision.anchor is not None:
            if decision.anchor.round < round_ + self._wave:
                self._fail(round_, f"is decided by a block of round {decision.anchor.round}")
            if decision.block is not None and not self._is_linked(store, decision):
                self._fail(round_, "is committed by an anchor that has no certificate below it")
        elif decision.status == Status.COMMIT:
            assert decision.block is not None, "a commit has a block"
            stake = self._weigh(self._list_certifiers(store, decision.block))
            if stake < self._quorum:
                self._fail(round_, f"is committed by stake {stake} of {self._quorum}")
        else:
            self._check_skip(store, decision)

    def _check_skip(self, store: BlockStore, decision: Decision) -> None:
        round_ = decision.slot.round
        voters = store.get_round(round_ + 1)
        slot = [block for block in store.get_round(round_) if block.author == decision.author]
        without = [[one for one in voters if not names(one, block)] for block in slot] or [
            list(voters)
        ]
        for blamers in without:
            stake = self._weigh(blamers)
            if stake < self._skip:
                self._fail(round_, f"is skipped by stake {stake} of {self._skip}")

    def _list_certifiers(self, store: BlockStore, leader: Block) -> list[Block]:
        votes = [block for block in store.get_round(leader.round + 1) if names(block, leader)]
        if self._wave == 2:
            return votes
        above = store.get_round(leader.round + 2)
        return [
            block
            for block in above
            if self._weigh(vote for vote in votes if names(block, vote)) >= self._quorum
        ]

    def _is_linked(self, store: BlockStore, decision: Decision) -> bool:
        assert decision.block is not None, "asked of commits only"
        assert decision.anchor is not None, "asked of indirect commits only"
        below = {decision.anchor.id}
        for round_ in range(decision.anchor.round, decision.block.round, -1):
            for block in store.get_round(round_):
                if block.id in below:
                    below |= {ref.id for ref in block.parents}
        return any(block.id in below for block in self._list_certifiers(store, decision.block))

    def _weigh(self, blocks: Iterable[Block]) -> int:
        return sum(self._stakes[author] for author in {block.author for block in blocks})

    def _fail(self, round_: int, what: str) -> None:
        raise CheckFailed(PROMISE, f"a slot of round {round_} {what}")


def names(block: Block, parent: Block) -> bool:
    """Whether a block has another as a parent."""
    return any(ref.id == parent.id for ref in block.parents)
