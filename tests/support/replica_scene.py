"""A replica over a real intake, fed signed vertices in the order of admission."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dag.identity import VerifiedVertex
from dag.intake import Intake
from dag.order import Commit
from dag.vertex import SignedVertex
from meshnode.core.effects import Emit, Persist, StoreValue
from meshnode.core.events import Committed, Event, OrderHalted
from meshnode.core.outbox import Outbox
from meshnode.core.recovered import HEAD_KEY
from meshnode.core.replica import Replica
from tests.support.block_dag import BlockDag


class Ledger:
    """A state machine that writes down what it is given."""

    def __init__(self, due_ms: int | None = None) -> None:
        self.commits: list[Commit] = []
        self.vertices: list[SignedVertex] = []
        self.due_ms = due_ms
        self.restored = b""

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        self.commits.append(commit)
        self.vertices += vertices

    def root(self) -> bytes:
        return self.commits[-1].digest

    def snapshot(self) -> bytes:
        return b"".join(signed.id for signed in self.vertices)

    def restore(self, snapshot: bytes) -> None:
        self.restored = snapshot

    def next_deadline(self) -> int | None:
        return self.due_ms


class ReplicaScene:
    """What a node holds, and what its replica makes of it."""

    def __init__(
        self, dag: BlockDag, *machines: Ledger, record: bytes = b"", delivered: int | None = None
    ) -> None:
        self.dag = dag
        self.intake = Intake(dag.builder.genesis)
        self.outbox = Outbox()
        self.replica = Replica(
            dag.builder.genesis, dag.network, self.intake, self.outbox, machines=machines
        )
        self.replica.expect(record, delivered)
        self.told: list[Commit] = []
        self.halted: list[str] = []
        self.events: list[Event] = []
        self.record = record

    def admit(self, vertices: Iterable[VerifiedVertex]) -> None:
        for signed in vertices:
            self.intake.restore(signed)
            self.replica.on_admitted(signed)
        self.read()

    def restore(self, vertices: Iterable[VerifiedVertex]) -> None:
        for signed in vertices:
            self.intake.restore(signed)
            self.replica.restore(signed)
        self.replica.check()
        self.replica.start()
        self.read()

    def read(self) -> None:
        """Take note of the effects; what is told rests on a record before it."""
        for effect in self.outbox.take():
            if isinstance(effect, Emit):
                self.events.append(effect.event)
            match effect:
                case Persist(record=StoreValue(key=key, value=value)):
                    assert key == HEAD_KEY
                    self.record = value
                case Emit(event=Committed(commit=commit, said=said)):
                    entries = [self.intake.index.get(ref.id) for ref in commit.vertices]
                    lanes = [entry.lane for entry in entries if entry is not None]
                    assert lanes == [0] * said + [1] * (len(entries) - said)
                    self.told.append(commit)
                case Emit(event=OrderHalted(reason=reason)):
                    self.halted.append(reason)
                case _:
                    raise AssertionError(effect)
