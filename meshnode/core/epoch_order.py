"""One epoch of the order: its committee, its blocks and its votes, and the epoch after it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.checkpoint import make_committee
from consensus.committee import Committee, compute_next_committee
from consensus.epoch import LEADERS_KEPT, OrderedVotes
from consensus.floor import FloorState
from consensus.leader import LeaderSchedule, make_schedule
from consensus.ordering import Ordering, OrderingState, decode_state, encode_state
from consensus.vote_aggregator import VoteAggregator
from dag.canonical import CanonicalDecoder, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consensus.block import Block, CommitVote
    from consensus.payload import PayloadOrder
    from dag.bodies import CommitteeChange
    from dag.index import Index
    from dag.order import Commit
    from meshnode.core.checkpointing import Checkpoint

ORDER_PIECE: Final = "order"
EPOCH_PIECE: Final = "epoch"
EPOCH_BYTES_MAX: Final = 4_096


class _Epoch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What of an epoch the state of its order does not say."""

    seed: bytes
    leaders: tuple[bytes, ...]
    next_gc_commits: int


_decoder: Final = CanonicalDecoder(_Epoch, what="state of an epoch", bytes_max=EPOCH_BYTES_MAX)


class EpochOrder:
    """What is replaced as a whole when the committee changes."""

    def __init__(
        self,
        network: bytes,
        committee: Committee,
        seed: bytes,
        index: Index,
        *,
        start: OrderingState | None = None,
        payload: PayloadOrder | None = None,
        leaders: tuple[bytes, ...] = (),
    ) -> None:
        """Begin an epoch, or go on from a state of its order."""
        start = start or OrderingState()
        self._network = network
        self._index = index
        self._seed = seed
        self.committee: Final = committee
        self.schedule: Final[LeaderSchedule] = make_schedule(committee, seed)
        self._released: list[Block] = []
        self.ordering: Final = Ordering(
            network,
            committee,
            self.schedule,
            index=index,
            start=start,
            payload=payload,
            on_released=self._released.append,
        )
        certified = start.head.index
        self.votes: Final = VoteAggregator(
            committee, certified_index=certified, checkpoint_index=certified
        )
        self._leaders = deque(leaders, maxlen=LEADERS_KEPT)
        self._successor: Committee | None = None
        self._next_gc_commits = 0
        self._checkpoint: OrderedVotes | None = None

    @property
    def successor(self) -> Committee | None:
        """The committee of the next epoch, once a commit has named it."""
        return self._successor

    @property
    def checkpoint_vote(self) -> CommitVote | None:
        """What every block has to vote for until its author's vote is in the output."""
        return None if self._checkpoint is None else self._checkpoint.vote

    @property
    def is_over(self) -> bool:
        """Whether the last commit was the last of the epoch."""
        checkpoint = self._checkpoint
        return self._successor is not None and checkpoint is not None and checkpoint.is_quorum

    def has_voted(self, author: int) -> bool:
        """Whether an author's vote for the last checkpoint is in the output, or none is due."""
        return self._checkpoint is None or self._checkpoint.has(author)

    def observe(self, commit: Commit) -> None:
        """Follow a commit of this epoch."""
        self._leaders.append(commit.leader)
        if self._checkpoint is not None:
            found = (self.ordering.store.get(ref.id) for ref in commit.vertices)
            self._checkpoint.observe(block for block in found if block is not None)

    def take_released(self) -> tuple[Block, ...]:
        """Blocks that were inert and count since the last commits, in the order they came in."""
        released = tuple(self._released)
        self._released.clear()
        return released

    def name_successor(self, change: CommitteeChange) -> None:
        """A commit has named the next committee; its state becomes a checkpoint."""
        self.expect_end(compute_next_committee(self.committee, change), change.gc_commits)

    def expect_end(self, successor: Committee, next_gc_commits: int) -> None:
        """Another committee was named; `next_gc_commits` is 0 where that number stays."""
        self._successor = successor
        self._next_gc_commits = next_gc_commits

    def begin_checkpoint(self, vote: CommitVote) -> None:
        """The state after the last commit is to be certified."""
        self._checkpoint = OrderedVotes(self.committee, vote)

    def begin_next(self) -> EpochOrder:
        """The epoch after this one, from its last commit on."""
        assert self._successor is not None, "an epoch ends because another committee was named"
        ordering = self.ordering
        payload = ordering.payload
        if self._next_gc_commits:
            payload.set_gc_commits(self._next_gc_commits)
        lamport = ordering.floor.lamport
        leaders = tuple(self._leaders)
        start = OrderingState(
            head=ordering.head,
            ordered=leaders,
            epoch_lamport=lamport,
            floor=FloorState(lamport=lamport),
        )
        return EpochOrder(
            self._network,
            self._successor,
            self._successor.compute_seed(self._network, ordering.head.digest),
            self._index,
            start=start,
            payload=payload,
            leaders=leaders,
        )

    def freeze(self) -> dict[str, bytes]:
        """The state after the last commit, as pieces of a snapshot."""
        epoch = _Epoch(self._seed, tuple(self._leaders), self._next_gc_commits)
        return {ORDER_PIECE: encode_state(self.ordering.freeze()), EPOCH_PIECE: encode(epoch)}


def thaw_epoch(checkpoint: Checkpoint, pieces: Mapping[str, bytes], index: Index) -> EpochOrder:
    """Go on from a certified checkpoint.

    Raises `MalformedMessage` or `MessageTooLarge` for pieces that no node of this version made.
    """
    header = checkpoint.header
    epoch = _decoder.decode(pieces.get(EPOCH_PIECE, b""))
    order = EpochOrder(
        header.network,
        make_committee(header.epoch, header.committee),
        epoch.seed,
        index,
        start=decode_state(pieces.get(ORDER_PIECE, b"")),
        leaders=epoch.leaders,
    )
    if header.next_committee is not None:
        successor = make_committee(header.epoch + 1, header.next_committee)
        order.expect_end(successor, epoch.next_gc_commits)
    order.begin_checkpoint(checkpoint.vote)
    return order
