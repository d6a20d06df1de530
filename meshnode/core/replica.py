"""The agreed order as this node holds it, and the state machines that follow it.

Every admitted vertex passes here: blocks go to the ordering, everything else waits to be put out.
What a commit puts out goes to every state machine, and the application hears of it once its record
is durable. After a restart the stored vertices give the same commits again; the state machines
fold all of them, and the application hears of those it has not been told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from consensus.block import Block
from consensus.commits import CommitHead
from consensus.committee import Committee, make_first_committee
from consensus.errors import BrokenFaultBound
from consensus.leader import LeaderSchedule, make_schedule
from consensus.ordering import Accepted, Inert, Ordering
from consensus.payload import PayloadOrder
from dag.canonical import CanonicalDecoder, encode
from dag.errors import MalformedMessage
from dag.order import GENESIS_COMMIT_DIGEST, Commit
from dag.types import LANE_BLOCKS
from meshnode.core.backlog import Backlog
from meshnode.core.effects import StoreValue
from meshnode.core.events import Committed, OrderHalted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dag.genesis import Genesis
    from dag.intake import Intake
    from dag.vertex import SignedVertex
    from meshnode.core.outbox import Outbox

HEAD_KEY: Final = "commit-head"
HEAD_BYTES_MAX: Final = 256

_head_decoder: Final = CanonicalDecoder(CommitHead, what="commit head", bytes_max=HEAD_BYTES_MAX)


class StateMachine(Protocol):
    """What is folded over the order. Every node's copy is in the same state after a commit."""

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit: its lane-0 vertices, in order. Total: it never raises."""
        ...

    def root(self) -> bytes:
        """A digest of the whole state."""
        ...

    def snapshot(self) -> bytes:
        """The whole state, as bytes that every node agrees on."""
        ...

    def next_deadline(self) -> int | None:
        """The commit time at which something is due, in milliseconds; None for nothing."""
        ...


class Step(NamedTuple):
    """What came of a vertex: it as a block, if it is a valid one, and the commits it led to."""

    block: Block | None = None
    commits: tuple[Commit, ...] = ()


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
    ) -> None:
        self._outbox = outbox
        self._machines = tuple(machines)
        self._committee = make_first_committee(genesis)
        seed = self._committee.compute_seed(network, GENESIS_COMMIT_DIGEST)
        self._schedule = make_schedule(self._committee, seed)
        self._index = index = intake.index
        self._payload = PayloadOrder(index, gc_commits=genesis.parameters.gc_commits)
        self._ordering = Ordering(
            network, self._committee, self._schedule, index=index, payload=self._payload
        )
        self._backlog = Backlog(index, intake.authors, keeps_content=bool(machines))
        self._record = CommitHead()
        self._delivered = 0
        self._untold: list[Commit] = []
        self._inert = 0
        self._halted = ""

    @property
    def committee(self) -> Committee:
        """Who decides."""
        return self._committee

    @property
    def schedule(self) -> LeaderSchedule:
        """Who leads which round."""
        return self._schedule

    @property
    def ordering(self) -> Ordering:
        """The blocks and what they decide; read-only for all but this class."""
        return self._ordering

    @property
    def backlog(self) -> Backlog:
        """What no commit has put out yet; read-only for all but this class."""
        return self._backlog

    @property
    def head(self) -> CommitHead:
        """The last commit."""
        return self._ordering.head

    @property
    def inert_count(self) -> int:
        """Lane-1 vertices that break a rule, and so have no effect."""
        return self._inert

    @property
    def halted(self) -> str:
        """Why nothing is ordered any more; empty while all is well."""
        return self._halted

    def expect(self, record: bytes, delivered: int | None) -> None:
        """Say before the first vertex what the journal and the application know of the order.

        Raises `MalformedMessage` for a record that is none.
        """
        if record:
            self._record = _head_decoder.decode(record)
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
        self._tell(untold)

    def on_admitted(self, signed: SignedVertex) -> Step:
        """A vertex was admitted."""
        step = self._take(signed)
        self._tell(step.commits)
        return step

    def _take(self, signed: SignedVertex) -> Step:
        if signed.vertex.lane != LANE_BLOCKS:
            self._backlog.add(signed)
            return _NOTHING
        verdict = self._ordering.add(signed)
        if not isinstance(verdict, Accepted):
            self._inert += isinstance(verdict, Inert)
            return _NOTHING
        return Step(verdict.block, tuple(self._advance()))

    def _advance(self) -> list[Commit]:
        """Fold every commit that is new."""
        commits: list[Commit] = []
        if self._halted:
            return commits
        try:
            for _, commit in self._ordering.advance():
                if commit is not None:
                    self._fold(commit)
                    commits.append(commit)
        except BrokenFaultBound as error:
            self._halted = str(error)
            self._outbox.emit(OrderHalted(self._halted))
        return commits

    def _fold(self, commit: Commit) -> None:
        vertices = self._backlog.take(commit.vertices)
        self._backlog.drop(self._payload.horizon)
        for machine in self._machines:
            machine.apply(commit, vertices)

    def _tell(self, commits: Sequence[Commit]) -> None:
        if not commits:
            return
        self._outbox.persist(StoreValue(HEAD_KEY, encode(self.head)))
        for commit in commits:
            # An application that remembers more than an old copy of the store is told nothing twice.
            if commit.index > self._delivered:
                self._outbox.emit(Committed(commit, self._count_said(commit)))

    def _count_said(self, commit: Commit) -> int:
        entries = [self._index.get(ref.id) for ref in commit.vertices]
        return sum(entry is not None and entry.lane != LANE_BLOCKS for entry in entries)

    def find_deadline(self) -> int | None:
        """The first commit time at which a state machine has something to do."""
        due = [machine.next_deadline() for machine in self._machines]
        return min((due_ms for due_ms in due if due_ms is not None), default=None)
