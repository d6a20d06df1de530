"""The agreed order as this node holds it, and the state machines that follow it.

Every admitted vertex passes here: blocks go to the order of their epoch, everything else waits to
be put out. What a commit puts out goes to every state machine, and the application hears of it once
its record is durable. After a restart the stored vertices give the same commits again; the state
machines fold all of them, and the application hears of those it has not been told.

A decision may name another committee. Then the state after that commit is voted for, and the epoch
ends as `consensus.epoch` says; blocks of the next one that came early are judged then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from consensus.block import Block
from consensus.checkpoint import is_checkpoint
from consensus.commits import CommitHead
from consensus.committee import Committee, make_first_committee
from consensus.errors import BrokenFaultBound
from consensus.leader import LeaderSchedule
from consensus.ordering import Accepted, Dropped, Inert, Later, Ordering, Verdict
from consensus.payload import PayloadOrder
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.order import GENESIS_COMMIT_DIGEST, Commit
from dag.types import LANE_BLOCKS
from meshnode.core.backlog import Backlog
from meshnode.core.checkpointing import Checkpoint, join_pieces, make_checkpoint
from meshnode.core.early_blocks import EarlyBlocks
from meshnode.core.effects import StoreValue
from meshnode.core.epoch_order import EpochOrder, thaw_epoch
from meshnode.core.events import Committed, EpochBegan, OrderHalted, OrderResumed
from meshnode.core.last_words import is_unordered
from meshnode.core.machines import BrokenLedger, Machines, StateMachine
from meshnode.core.market_steps import MarketStep, take_step
from meshnode.core.recovered import HEAD_DECODER, HEAD_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consensus.block import CommitVote
    from consensus.decisions import Decisions
    from consensus.vote_aggregator import CommitCertificate
    from dag.genesis import Genesis
    from dag.intake import Intake
    from dag.vertex import SignedVertex
    from meshnode.core.outbox import Outbox

CHECKPOINTS_KEPT: Final = 2


class Step(NamedTuple):
    """What came of a vertex: it as a block, if it is a valid one, and the commits it led to."""

    block: Block | None = None
    commits: tuple[Commit, ...] = ()
    released: tuple[Block, ...] = ()
    """Blocks of before that were inert and count since these commits."""
    outdated: Block | None = None
    """It as a block, if it came too late to count."""
    lost: tuple[SignedVertex, ...] = ()
    """What was said and fell below the horizon by this: it gets no place in the order."""


class CertifiedCheckpoint(NamedTuple):
    """A state that a quorum has voted for, and who did."""

    checkpoint: Checkpoint
    certificate: CommitCertificate


_NOTHING: Final = Step()


class Replica:
    """The order, as far as the blocks held here decide it."""

    def __init__(
        self,
        genesis: Genesis,
        network: bytes,
        intake: Intake,
        outbox: Outbox,
        *,
        machines: Sequence[StateMachine] = (),
        start: Checkpoint | None = None,
    ) -> None:
        """Begin with genesis, or with a certified state.

        Raises `MalformedMessage` for a state that another version of this program made.
        """
        self._network = network
        self._intake = intake
        self._outbox = outbox
        self._index = intake.index
        self._checkpoint_commits = genesis.parameters.checkpoint_commits
        self._machines = Machines(genesis, intake.authors, machines)
        self._begun_after = 0 if start is None else start.header.index
        self._epoch = self._begin(genesis, start)
        self._first_horizon = self._epoch.ordering.payload.horizon
        self._first_words = {word.author: word for word in self._machines.pinned.last}
        """How far what authors said was put out before; nothing of it is lost."""
        self._enter_epoch(self._epoch.committee)
        self._backlog = Backlog(intake.index, intake.authors)
        self._early = EarlyBlocks()
        self._checkpoints: dict[int, Checkpoint] = {}
        self._certified: CertifiedCheckpoint | None = None
        self._fresh: list[CertifiedCheckpoint] = []
        self._conflicts = 0
        self._record = CommitHead()
        self._delivered = 0
        self._untold: list[Commit] = []
        self._steps: dict[int, MarketStep] = {}
        """By commit that is to be told, what it did to the market."""
        self._lost: list[SignedVertex] = []
        self._inert = 0
        self._halted = ""

    def _begin(self, genesis: Genesis, start: Checkpoint | None) -> EpochOrder:
        if start is not None:
            pieces = join_pieces(start)
            self._machines.restore(pieces)
            return thaw_epoch(start, pieces, self._index)
        committee = make_first_committee(genesis)
        return EpochOrder(
            self._network,
            committee,
            committee.compute_seed(self._network, GENESIS_COMMIT_DIGEST),
            self._index,
            payload=PayloadOrder(self._index, gc_commits=genesis.parameters.gc_commits),
        )

    def _enter_epoch(self, committee: Committee, before: Committee | None = None) -> None:
        """Say to those who have to know who the validators are."""
        self._machines.set_committee(committee)
        # Who lags behind still needs the last blocks of the committee before.
        both = (*committee.validators, *(before.validators if before is not None else ()))
        self._intake.set_committee(validator.author for validator in both)

    @property
    def committee(self) -> Committee:
        """Who decides."""
        return self._epoch.committee

    @property
    def successor(self) -> Committee | None:
        """Who will decide in the next epoch, while this one is about to end."""
        return self._epoch.successor

    @property
    def schedule(self) -> LeaderSchedule:
        """Who leads which round."""
        return self._epoch.schedule

    @property
    def ordering(self) -> Ordering:
        """The blocks and what they decide; read-only for all but this class."""
        return self._epoch.ordering

    @property
    def backlog(self) -> Backlog:
        """What no commit has put out yet; read-only for all but this class."""
        return self._backlog

    @property
    def decisions(self) -> Decisions:
        """What was put to the mesh; read-only for all but this class."""
        return self._machines.decisions

    @property
    def machines(self) -> Machines:
        """The state after the last commit; read-only for all but this class."""
        return self._machines

    @property
    def head(self) -> CommitHead:
        """The last commit."""
        return self._epoch.ordering.head

    @property
    def inert_count(self) -> int:
        """Lane-1 vertices that break a rule, and so have no effect."""
        return self._inert

    @property
    def conflict_count(self) -> int:
        """Votes that contradict an earlier one of their author: it lies, or its state is broken."""
        return self._conflicts

    @property
    def halted(self) -> str:
        """Why nothing is ordered any more; empty while all is well."""
        return self._halted

    @property
    def certified(self) -> CertifiedCheckpoint | None:
        """The last checkpoint made here for which a quorum of votes is held."""
        return self._certified

    def take_certified(self) -> tuple[CertifiedCheckpoint, ...]:
        """The checkpoints certified since the last call, ascending; one step may certify several."""
        fresh, self._fresh = self._fresh, []
        return tuple(fresh)

    @property
    def has_errand(self) -> bool:
        """Whether blocks are needed although nothing is said: an epoch ends, or has to."""
        return self._epoch.successor is not None or self.decisions.has_change

    def is_early(self, author: bytes) -> bool:
        """Whether blocks of an author are held whose epoch has not begun here."""
        return author in self._early

    def find_vote(self, author: int) -> CommitVote | None:
        """The vote for a checkpoint that a validator's next block has to carry."""
        return None if self._epoch.has_voted(author) else self._epoch.checkpoint_vote

    def find_deadline(self) -> int | None:
        """The first commit time at which a state machine has something to do."""
        return self._machines.find_deadline()

    # --- what happens ---------------------------------------------------------------------------

    def expect(self, record: bytes, delivered: int | None) -> None:
        """Say before the first vertex what the journal and the application know of the order.

        Raises `MalformedMessage` for a record that is none.
        """
        if record:
            self._record = HEAD_DECODER.decode(record)
        self._delivered = self._record.index if delivered is None else delivered

    def restore(self, signed: SignedVertex) -> Step:
        """Take back a stored vertex. Raises `MalformedMessage` if the order was another one."""
        step = self._take(signed)
        for commit in step.commits:
            if commit.index == self._record.index and commit.digest != self._record.digest:
                raise MalformedMessage(f"commit {commit.index} is not the one that was recorded")
            if commit.index > self._delivered:
                self._untold.append(commit)
        return step

    def check(self) -> None:
        """Every vertex is back. Raises `MalformedMessage` if the order ends before its record."""
        if self._record.index > self.head.index:
            raise MalformedMessage(
                f"commit {self._record.index} was recorded, and the vertices end at "
                f"{self.head.index}"
            )

    def start(self) -> None:
        """Tell what the last life has not told."""
        untold, self._untold = self._untold, []
        if self._begun_after > self._delivered:
            self._outbox.emit(OrderResumed(self._begun_after))
        self._tell(untold)

    def on_admitted(self, signed: SignedVertex) -> Step:
        """A vertex was admitted."""
        epoch = self.committee.epoch
        step = self._take(signed)
        self._tell(step.commits)
        if self.committee.epoch != epoch:
            self._outbox.emit(EpochBegan(self.committee.epoch, self.head.index))
        return step

    def _take(self, signed: SignedVertex) -> Step:
        if signed.vertex.lane != LANE_BLOCKS:
            payload = self.ordering.payload
            if not payload.is_settled(signed.ref):
                self._backlog.add(signed)
            elif self._is_lost(signed):
                return Step(lost=(signed,))
            return _NOTHING
        verdict = self._judge(signed)
        if not isinstance(verdict, Accepted):
            return Step(outdated=verdict.block) if isinstance(verdict, Dropped) else _NOTHING
        commits = tuple(self._advance())
        released = self._epoch.take_released()
        for other in released:
            self._count_votes(other)
        lost, self._lost = tuple(self._lost), []
        return Step(verdict.block, commits, released, lost=lost)

    def _is_lost(self, signed: SignedVertex) -> bool:
        """Whether what comes now was not here to be put out before, and is too late already."""
        vertex, horizon = signed.vertex, self.ordering.payload.horizon
        if self._first_horizon < vertex.lamport <= horizon:
            return True
        word = self._first_words.get(vertex.author)
        return vertex.lamport <= horizon and is_unordered(word, vertex.seq, signed.id)

    def _judge(self, signed: SignedVertex) -> Verdict:
        verdict = self.ordering.add(signed)
        if isinstance(verdict, Later):
            self._early.add(signed)
        elif isinstance(verdict, Inert):
            self._inert += 1
        elif isinstance(verdict, Accepted):
            self._count_votes(verdict.block)
        return verdict

    def _count_votes(self, block: Block) -> None:
        self._conflicts += len(self._epoch.votes.add(block.author, block.votes, block.ref))
        self._look_for_certificate()

    # --- commits --------------------------------------------------------------------------------

    def _advance(self) -> list[Commit]:
        """Fold every commit that is new, through the ends of epochs."""
        commits: list[Commit] = []
        if self._halted:
            return commits
        try:
            while self._fold_epoch(commits):
                self._begin_next_epoch()
        except (BrokenFaultBound, BrokenLedger) as error:
            self._halt(str(error))
        return commits

    def _halt(self, reason: str) -> None:
        self._halted = reason
        self._outbox.emit(OrderHalted(reason))

    def _fold_epoch(self, commits: list[Commit]) -> bool:
        """Fold what this epoch decides; answers whether that ended it."""
        for _, commit in self.ordering.advance():
            if commit is not None:
                self._fold(commit)
                commits.append(commit)
                if self._epoch.is_over:
                    return True
        return False

    def _fold(self, commit: Commit) -> None:
        epoch = self._epoch
        vertices = self._backlog.take(commit.vertices)
        self._lost += self._backlog.drop(self.ordering.payload.horizon)
        self._machines.apply(commit, vertices)
        step = take_step(self._machines.market)
        if step is not None and commit.index > self._delivered:
            self._steps[commit.index] = step
        epoch.observe(commit)
        if epoch.successor is not None:
            return  # The change itself was a checkpoint, and ends with the epoch.
        change = self.decisions.take_change()
        if change is not None:
            epoch.name_successor(change)
        if change is not None or is_checkpoint(commit.index, self._checkpoint_commits):
            self._make_checkpoint(commit)

    def _make_checkpoint(self, commit: Commit) -> None:
        epoch = self._epoch
        checkpoint = make_checkpoint(
            self._network,
            commit,
            epoch.committee,
            epoch.successor,
            floor=epoch.ordering.prunable,
            pieces={**epoch.freeze(), **self._machines.freeze()},
        )
        epoch.begin_checkpoint(checkpoint.vote)
        self._checkpoints[commit.index] = checkpoint
        for index in sorted(self._checkpoints)[:-CHECKPOINTS_KEPT]:
            del self._checkpoints[index]
        self._look_for_certificate()

    def _look_for_certificate(self) -> None:
        """Others may be ahead: a quorum's votes can come before the state they name is here."""
        for certificate in self._epoch.votes.checkpoints:
            checkpoint = self._checkpoints.get(certificate.index)
            if checkpoint is None or self._halted:
                continue
            if checkpoint.vote.root != certificate.root:
                self._halt(
                    f"a quorum certified another state after commit {certificate.index}: "
                    "this store or this version differs from the mesh"
                )
            elif self._certified is None or self._certified.certificate.index < certificate.index:
                self._certified = CertifiedCheckpoint(checkpoint, certificate)
                self._fresh.append(self._certified)

    def _begin_next_epoch(self) -> None:
        before = self.committee
        self._epoch = self._epoch.begin_next()
        self._enter_epoch(self.committee, before)
        for signed in self._early.take():
            self._judge(signed)

    def _tell(self, commits: Sequence[Commit]) -> None:
        if not commits:
            return
        self._outbox.persist(StoreValue(HEAD_KEY, encode(self.head)))
        for commit in commits:
            # An application that remembers more than an old copy of the store is told nothing twice.
            if commit.index > self._delivered:
                step = self._steps.pop(commit.index, None)
                self._outbox.emit(Committed(commit, self._count_said(commit), step))

    def _count_said(self, commit: Commit) -> int:
        entries = [self._index.get(ref.id) for ref in commit.vertices]
        return sum(entry is not None and entry.lane != LANE_BLOCKS for entry in entries)
