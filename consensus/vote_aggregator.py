"""Counts the commit votes that blocks carry, until a quorum of stake certifies a commit.

A vote is its author's word for one index; nothing follows from it for lower ones. Votes are of use
above what is certified already and are forgotten below it. Of one author only so many open votes
are kept, its latest, so that nobody can fill the memory with votes for commits that never come.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import Final

import msgspec

from consensus.block import CommitVote
from consensus.committee import Committee
from dag.types import Ref

OPEN_VOTES_MAX: Final = 256
"""Votes held of one author that are not certified yet."""
OPEN_ROOTS_MAX: Final = 16
"""The same for votes that name a root."""
CHECKPOINTS_KEPT: Final = 4


class CommitCertificate(msgspec.Struct, frozen=True):
    """A quorum's word for a commit, and for the root of the state where `root` is not empty."""

    index: int
    digest: bytes
    root: bytes
    blocks: tuple[Ref, ...]
    """One block of each author that voted so, authors ascending."""


class VoteConflict(msgspec.Struct, frozen=True):
    """An author named two digests or two roots for one index: it lies, or its state is broken."""

    author: int
    first: CommitVote
    second: CommitVote
    first_block: Ref
    second_block: Ref


class VoteAggregator:
    """The commit votes of one committee; local knowledge, no part of the agreed state."""

    def __init__(
        self, committee: Committee, *, certified_index: int = 0, checkpoint_index: int = 0
    ) -> None:
        """Start above what is known to be certified."""
        self._commits = _Tally(committee, certified_index, open_max=OPEN_VOTES_MAX)
        self._roots = _Tally(committee, checkpoint_index, open_max=OPEN_ROOTS_MAX)
        self._commit: CommitCertificate | None = None
        self._checkpoints: tuple[CommitCertificate, ...] = ()

    @property
    def commit(self) -> CommitCertificate | None:
        """The highest commit that is certified; its `root` is empty."""
        return self._commit

    @property
    def checkpoints(self) -> tuple[CommitCertificate, ...]:
        """The last checkpoints that were certified, ascending."""
        return self._checkpoints

    def add(self, author: int, votes: Sequence[CommitVote], block: Ref) -> tuple[VoteConflict, ...]:
        """Count the votes of an accepted block; the author's first vote for an index stands."""
        conflicts: dict[int, VoteConflict] = {}
        for vote in votes:
            plain = CommitVote(vote.index, vote.digest)
            for tally, cast in ((self._commits, plain), (self._roots, vote)):
                if tally is self._roots and not vote.root:
                    continue
                conflict = tally.add(author, cast, block)
                if conflict is not None:
                    conflicts.setdefault(vote.index, conflict)
        self._commit = self._commits.take_certified() or self._commit
        certified = self._roots.take_certified()
        if certified is not None:
            self._checkpoints = (*self._checkpoints, certified)[-CHECKPOINTS_KEPT:]
        return tuple(conflicts.values())


class _Tally:
    """Votes of one sort, above the highest index that they have certified."""

    def __init__(self, committee: Committee, certified_index: int, *, open_max: int) -> None:
        self._committee = committee
        self._certified_index = certified_index
        self._open_max = open_max
        self._votes: dict[int, dict[int, tuple[CommitVote, Ref]]] = {}
        """By index, by author."""
        self._open: list[int] = []
        """The keys of `_votes`, ascending."""
        self._held: list[list[int]] = [[] for _ in range(len(committee))]
        """Of each author, the indexes it has votes for, ascending."""
        self._certified: CommitCertificate | None = None

    def add(self, author: int, vote: CommitVote, block: Ref) -> VoteConflict | None:
        if vote.index <= self._certified_index:
            return None
        first = self._votes.get(vote.index, {}).get(author)
        if first is not None:
            if first[0] == vote:
                return None
            return VoteConflict(author, first[0], vote, first[1], block)
        if not self._make_room(author, vote.index):
            return None
        self._hold(author, vote, block)
        agreeing = [
            (other, ref) for other, (cast, ref) in self._votes[vote.index].items() if cast == vote
        ]
        stake = sum(self._committee.get_stake(other) for other, _ in agreeing)
        if stake >= self._committee.thresholds.quorum:
            blocks = tuple(ref for _, ref in sorted(agreeing))
            self._certified = CommitCertificate(vote.index, vote.digest, vote.root, blocks)
            self._forget_through(vote.index)
        return None

    def take_certified(self) -> CommitCertificate | None:
        """The highest certificate that is new since the last call."""
        certified, self._certified = self._certified, None
        return certified

    def _hold(self, author: int, vote: CommitVote, block: Ref) -> None:
        row = self._votes.get(vote.index)
        if row is None:
            row = self._votes[vote.index] = {}
            insort(self._open, vote.index)
        row[author] = (vote, block)
        insort(self._held[author], vote.index)

    def _make_room(self, author: int, index: int) -> bool:
        """Drop the author's lowest vote if it holds too many; False where that is the new one."""
        held = self._held[author]
        if len(held) < self._open_max:
            return True
        if index < held[0]:
            return False
        dropped = held.pop(0)
        row = self._votes[dropped]
        del row[author]
        if not row:
            del self._votes[dropped]
            self._open.remove(dropped)
        return True

    def _forget_through(self, index: int) -> None:
        self._certified_index = index
        end = bisect_right(self._open, index)
        for gone in self._open[:end]:
            for author in self._votes.pop(gone):
                # An author's votes go from its lowest up, so this is the first it holds.
                self._held[author].pop(0)
        del self._open[:end]
