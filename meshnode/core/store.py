"""What happens around the intake: every vertex passes here, from peers and from this node."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from consensus.block import count_block_parents
from dag.authors import Fork
from dag.errors import InvalidMessage
from dag.identity import VerifiedVertex, trust_stored
from dag.intake import Intake
from dag.outcomes import Admitted, Quarantined, UnknownAuthor
from dag.ranges import CUT_REF_BYTES
from meshnode.core.author_pace import AuthorPace
from meshnode.core.effects import ForgetVertices, StoreVertex
from meshnode.core.events import VertexAdmitted
from meshnode.core.inputs import Candidate, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.genesis import Genesis
    from dag.outcomes import Outcome
    from dag.types import Horizon
    from dag.vertex import SignedVertex
    from meshnode.core.author_pace import Waiting
    from meshnode.core.outbox import Outbox


class StoreHost(Protocol):
    """What the store tells the node that owns it."""

    def charge(self, now_ms: int, peer: str, error: InvalidMessage) -> None:
        """A peer sent a vertex that breaks a rule."""

    def on_admitted(self, now_ms: int, signed: VerifiedVertex, *, made_here: bool) -> None:
        """A vertex is stored, and was just made here or came from somewhere."""

    def on_fork(self, now_ms: int, fork: Fork) -> None:
        """An author's first fork is stored."""

    def on_missing(
        self, now_ms: int, source: str, signed: VerifiedVertex, waiting: Quarantined
    ) -> None:
        """A vertex waits for parents that nothing here holds."""

    def on_unknown(self, source: str, signed: VerifiedVertex, author: bytes) -> None:
        """A vertex waits for a profile: its own author's, or that of who invited it."""


def make_intake(genesis: Genesis) -> Intake:
    """The door of an empty store, which reads what blocks name."""
    return Intake(genesis, count_blocks=count_block_parents)


class Store:
    """Offers vertices to the intake, and turns what came of it into effects."""

    def __init__(self, intake: Intake, outbox: Outbox, host: StoreHost) -> None:
        self._intake = intake
        self._outbox = outbox
        self._host = host
        self._pace = AuthorPace()

    def is_stored(self, vertex_id: bytes) -> bool:
        """Whether a vertex was admitted; may be called from any thread."""
        return vertex_id in self._intake.index

    def is_needed(self, vertex_id: bytes) -> bool:
        """Whether a vertex is neither stored nor waiting for its parents or its author's turn.

        One that is named by a cut reference may be fetched although it waits.
        """
        index = self._intake.index
        if len(vertex_id) == CUT_REF_BYTES:
            return index.find(vertex_id) is None
        waits = vertex_id in self._intake.quarantine or vertex_id in self._pace
        return not waits and vertex_id not in index

    def is_awaited(self, vertex_id: bytes) -> bool:
        """Whether a vertex that is heard waits for this one."""
        return self._intake.quarantine.is_awaited(vertex_id)

    def count_waiting(self) -> int:
        """How many vertices wait for what is missing, for their time or for their author's turn."""
        return len(self._intake.quarantine) + self._intake.held_count + len(self._pace)

    def is_ripe(self, now_ms: int, signed: SignedVertex) -> bool:
        """Whether a vertex can be decided on at once: it neither waits nor is held."""
        return self._intake.is_ripe(now_ms, signed.vertex)

    def offer_candidate(self, now_ms: int, peer: str, candidate: Candidate) -> None:
        """Offer a vertex that admission has verified."""
        assert candidate.standing is Standing.VERIFIED
        signed = candidate.signed
        if not isinstance(signed, VerifiedVertex):
            signed = trust_stored(signed)
        self.offer(now_ms, peer, signed)

    def offer_paced(self, now_ms: int, peer: str, candidate: Candidate, *, is_news: bool) -> None:
        """As `offer_candidate`, but no faster than one author may fill a store."""
        signed = candidate.signed
        if not isinstance(signed, VerifiedVertex):
            signed = trust_stored(signed)
        if not self._must_wait(now_ms, peer, signed, is_news=is_news):
            self.offer(now_ms, peer, signed)
        elif self._intake.quarantine.is_awaited(signed.id):
            self._offer_all(now_ms, self._pace.release(now_ms, (signed.ref,)))

    def _must_wait(self, now_ms: int, peer: str, signed: VerifiedVertex, *, is_news: bool) -> bool:
        intake, vertex = self._intake, signed.vertex
        if intake.is_block(vertex) or signed.id in intake.index or signed.id in intake.quarantine:
            return False
        is_forked = intake.authors.is_forked(vertex.author)
        return not self._pace.admit(now_ms, peer, signed, is_news=is_news, is_forked=is_forked)

    def offer(self, now_ms: int, source: str, signed: VerifiedVertex) -> None:
        """Offer a vertex whose signatures hold; a broken rule is the source's offence."""
        self._offer_all(now_ms, [(source, signed)])

    def _offer_all(self, now_ms: int, waiting: Iterable[Waiting]) -> None:
        """Offer vertices, and what they need of those that wait for their turn."""
        queue = deque(waiting)
        while queue:
            source, signed = queue.popleft()
            try:
                outcome = self._intake.offer(now_ms, source, signed)
            except InvalidMessage as error:
                self._host.charge(now_ms, source, error)
                continue
            self._apply(now_ms, source, signed, outcome)
            if isinstance(outcome, Quarantined):
                queue.extend(self._pace.release(now_ms, outcome.missing))
        self._charge(now_ms)

    def admit_own(self, now_ms: int, signed: VerifiedVertex) -> None:
        """Store a vertex this node has made; that it is valid is this node's own business."""
        # The first profile may be older than a correction of the clock, and is not held for that.
        outcome = self._intake.offer(max(now_ms, signed.vertex.time_ms), "", signed)
        assert isinstance(outcome, Admitted), "an own vertex stands on what is stored"
        self._admit(now_ms, "", outcome, made_here=signed.id)

    def take_own_past(self, now_ms: int, signed: SignedVertex) -> bool:
        """A peer names an own vertex as the last it knows; answers whether it is still to come.

        The own next vertex stands on it, so below the horizon, where nothing is fetched any more, it
        is taken for its own sake.
        """
        index, vertex = self._intake.index, signed.vertex
        if signed.id in index or not index.is_below(vertex):
            return signed.id not in index
        last = index.get_last(vertex.author, vertex.lane)
        if last is None or vertex.seq > last.seq:
            try:
                self._admit(now_ms, "", self._intake.take_old(trust_stored(signed)))
            except InvalidMessage:
                return False  # whoever else has these keys made it; nobody took it
        return False

    def expire(self, now_ms: int) -> None:
        """Let go what waited too long, and take in what was held or waited for its turn."""
        for outcome in self._intake.expire(now_ms):
            if isinstance(outcome, Admitted):
                self._admit(now_ms, "", outcome)
        self._offer_all(now_ms, self._pace.take_due(now_ms))

    def advance_horizon(self, now_ms: int, horizon: Horizon) -> None:
        """Let references at or below it count as present, and take in what waited for them."""
        self._admit(now_ms, "", self._intake.advance_horizon(horizon))
        self._charge(now_ms)

    def pin(self, vertex_id: bytes) -> None:
        """Keep a vertex whatever its age."""
        self._intake.pin(vertex_id)

    def prune(self, horizon: Horizon) -> int:
        """Delete history at or below this and the own horizon; answers how many vertices."""
        return self._forget(self._intake.prune(horizon))

    def close(self, horizon: Horizon) -> None:
        """Delete history at or below it, before another core goes on from the journal."""
        self._forget(self._intake.close(horizon))

    def _forget(self, ids: tuple[bytes, ...]) -> int:
        if ids:
            self._outbox.persist(ForgetVertices(ids))
        return len(ids)

    def next_deadline(self) -> int | None:
        """When `expire` has something to do."""
        due_ms, paced_ms = self._intake.next_deadline, self._pace.next_deadline()
        if due_ms is None or paced_ms is None:
            return paced_ms if due_ms is None else due_ms
        return min(due_ms, paced_ms)

    def _apply(self, now_ms: int, source: str, signed: VerifiedVertex, outcome: Outcome) -> None:
        match outcome:
            case Admitted():
                self._admit(now_ms, source, outcome)
            case Quarantined():
                self._host.on_missing(now_ms, source, signed, outcome)
            case UnknownAuthor(author=author):
                self._host.on_unknown(source, signed, author)
            case _:
                pass

    def _admit(
        self, now_ms: int, source: str, admitted: Admitted, *, made_here: bytes = b""
    ) -> None:
        for signed in admitted.vertices:
            self._outbox.persist(StoreVertex(signed.id, signed.wire))
            self._outbox.emit(VertexAdmitted(signed, source))
            self._host.on_admitted(now_ms, signed, made_here=signed.id == made_here)
        for fork in admitted.forks:
            self._host.on_fork(now_ms, fork)

    def _charge(self, now_ms: int) -> None:
        """Charge everybody who sent what turned out invalid while it waited."""
        for rejected in self._intake.drain_rejected():
            for source in rejected.sources:
                self._host.charge(now_ms, source, rejected.error)
