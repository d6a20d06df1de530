"""The end of an epoch: which commit is its last.

A decision that a commit puts out names the next committee. The state after that commit is a
checkpoint, so from then on blocks vote for it: their authors know who comes next. Once authors with
a quorum of stake have such a vote in the output, that commit is the last of the epoch; later ones
are ignored, even if they are decided. So a quorum of the old committee certifies the new one, and
nothing has to be sent twice: what the old epoch did not put out, blocks of the new one refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from consensus.block import Block, CommitVote
from consensus.committee import Committee

LEADERS_KEPT: Final = 8
"""Leaders at the end of an epoch that the next one starts from. Every block three rounds above a
committed leader has seen it, so the last few have seen whatever the epoch put out."""


class OrderedVotes:
    """Who has a vote for one commit in the output. A function of the order, alike everywhere."""

    def __init__(self, committee: Committee, vote: CommitVote) -> None:
        self._committee = committee
        self._vote = vote
        self._authors = 0

    @property
    def vote(self) -> CommitVote:
        """The vote that is looked for."""
        return self._vote

    @property
    def is_quorum(self) -> bool:
        """Whether authors with a quorum of stake have voted."""
        committee = self._committee
        return committee.weigh(self._authors) >= committee.thresholds.quorum

    def has(self, author: int) -> bool:
        """Whether the author at a position has voted."""
        return bool(self._authors >> author & 1)

    def observe(self, blocks: Iterable[Block]) -> None:
        """A commit puts these blocks out."""
        for block in blocks:
            if self._vote in block.votes:
                self._authors |= 1 << block.author
