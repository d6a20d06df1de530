"""Intake: the one door by which vertices enter the store.

It reads a vertex's bytes and its ancestors, and nothing else: no block rules, no market rules, no
clock but for the hold on speech stamped far ahead. So honest peers that hold the same vertices
have admitted the same set, in whatever order they came.

A vertex enters when its parents are present. Before that it waits in the quarantine, bounded. Of a
forked slot two vertices are kept as evidence; any further one is surplus, and enters only together
with a vertex that references it and has a place of its own. So does what local policy keeps out:
whoever is no member any more, or says more than a newcomer may. It waits for such a vertex for a
while, and goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from dag.authors import AuthorRegistry, CheckedProfile, Fork, is_first_profile
from dag.errors import InvalidVertex, WrongNetwork
from dag.genesis import Genesis
from dag.heads import Heads
from dag.hold import AHEAD_MAX_MS, HeldVertex, Hold
from dag.identity import VerifiedVertex
from dag.index import CountBlocks, Index, count_previous
from dag.outcomes import (
    Admitted,
    BelowHorizon,
    Duplicate,
    Held,
    Outcome,
    Quarantined,
    Refused,
    Rejected,
    UnknownAuthor,
)
from dag.parent_rules import check_parents
from dag.quarantine import Quarantine, QuarantineLimits, Waiting
from dag.types import LANE_BLOCKS, LANE_SPEECH, Horizon, Kind, Ref
from dag.vertex import Vertex

Policy = Callable[[int, Vertex], bool]
"""Whether a vertex is kept out at a time of the local clock, unless something needs it."""


class _Batch:
    """What one call has admitted so far."""

    __slots__ = ("forks", "vertices")

    def __init__(self) -> None:
        self.vertices: list[VerifiedVertex] = []
        self.forks: list[Fork] = []

    def close(self) -> Admitted:
        return Admitted(tuple(self.vertices), tuple(self.forks))


class Intake:
    """The store's door, with the store's index, heads and authors behind it."""

    def __init__(
        self,
        genesis: Genesis,
        limits: QuarantineLimits | None = None,
        *,
        count_blocks: CountBlocks = count_previous,
    ) -> None:
        """`count_blocks` reads how many parents a lane-1 vertex names as blocks."""
        limits = limits or QuarantineLimits()
        self._ttl_ms = limits.ttl_ms
        self._future_hold_ms = genesis.parameters.future_hold_ms
        self._index = Index(count_blocks)
        self._heads = Heads()
        self._authors = AuthorRegistry(genesis)
        self._network: bytes = self._authors.network
        self._quarantine = Quarantine(limits)
        self._hold = Hold()
        self._committee: dict[bytes, None] = {}
        self._is_kept_out: Policy = lambda _now_ms, _vertex: False
        self._rejected: deque[Rejected] = deque(maxlen=limits.count_max + limits.reserved_count_max)
        self.set_committee(validator.author for validator in genesis.committee)

    @property
    def index(self) -> Index:
        """Every admitted vertex; read-only for all but this class."""
        return self._index

    @property
    def heads(self) -> Heads:
        """The ends of the DAG; read-only for all but this class."""
        return self._heads

    @property
    def authors(self) -> AuthorRegistry:
        """Every known author; read-only for all but this class."""
        return self._authors

    @property
    def quarantine(self) -> Quarantine:
        """What waits for parents; read-only for all but this class."""
        return self._quarantine

    @property
    def held_count(self) -> int:
        """How many vertices wait for their time."""
        return len(self._hold)

    @property
    def forks(self) -> tuple[Fork, ...]:
        """The first fork of each author that forked."""
        return self._authors.forks

    @property
    def next_deadline(self) -> int | None:
        """When `expire` has something to do, None if nothing waits."""
        waiting_ms, held_ms = self._quarantine.next_deadline, self._hold.next_deadline
        if waiting_ms is None or held_ms is None:
            return held_ms if waiting_ms is None else waiting_ms
        return min(waiting_ms, held_ms)

    def set_committee(self, members: Iterable[bytes]) -> None:
        """Name the authors whose blocks have the reserved part of the quarantine."""
        self._committee = dict.fromkeys(members)

    def set_policy(self, is_kept_out: Policy) -> None:
        """Say what enters only where something else needs it."""
        self._is_kept_out = is_kept_out

    def mark_forked(self, fork: Fork) -> bool:
        """Take note of a fork proved by evidence; answers whether it is the author's first."""
        return self._authors.mark_forked(fork)

    def drain_rejected(self) -> tuple[Rejected, ...]:
        """Vertices that had waited and turned out invalid since the last call."""
        rejected = tuple(self._rejected)
        self._rejected.clear()
        return rejected

    def is_ripe(self, now_ms: int, vertex: Vertex) -> bool:
        """Whether a vertex would be decided on at once: parents are present, its time has come."""
        return not self._is_early(now_ms, vertex) and not self._index.find_missing(vertex)

    def offer(self, now_ms: int, source: str, signed: VerifiedVertex) -> Outcome:
        """Offer a vertex that came from `source`.

        Raises `InvalidVertex` or `WrongNetwork`: then the offence is the source's, and vertices
        that waited for this one are to be found in `drain_rejected`.
        """
        if signed.id in self._index:
            return Duplicate()
        vertex = signed.vertex
        self._check_alone(vertex)
        if self._is_too_old(vertex) and not self._is_needed(signed.id):
            return BelowHorizon()
        unknown = self._find_unknown(vertex)
        if unknown is not None:
            return UnknownAuthor(unknown)
        waiting = self._quarantine.get(signed.id)
        if waiting is not None:
            waiting.add_source(source)
            return self._describe(waiting)
        if self._is_early(now_ms, vertex):
            held = self._hold_back(now_ms, source, signed)
            if held is not None:
                return held
        self._hold.remove(signed.id)  # come again in the moment it is due: it enters once
        return self._enter(now_ms, source, signed)

    def restore(self, signed: VerifiedVertex) -> None:
        """Take back a vertex from the own store, in the order of admission.

        What lies below the horizon may have come by name, without its parents. Raises
        `InvalidVertex` or `WrongNetwork` for what cannot have been admitted.
        """
        vertex, index = signed.vertex, self._index
        self._check_alone(vertex)
        is_open = not index.is_below(vertex) and bool(index.find_missing(vertex))
        if signed.id in index or is_open:
            raise InvalidVertex("order", "a stored vertex comes once, after its parents")
        if self._authors.get(vertex.author) is None and not is_first_profile(vertex):
            raise InvalidVertex("first-profile", "an author's first vertex is its profile")
        self._store(signed, self._check(vertex), _Batch())

    def take_old(self, signed: VerifiedVertex) -> Admitted:
        """Take a vertex at or below the horizon for its own sake: its parents count as present.

        Raises `InvalidVertex` or `WrongNetwork`.
        """
        vertex = signed.vertex
        assert self._index.is_below(vertex), "what is above it is offered"
        self._check_alone(vertex)
        if signed.id in self._index:
            return Admitted(())
        if self._authors.get(vertex.author) is None:
            raise InvalidVertex("first-profile", "an author's first vertex is its profile")
        batch = _Batch()
        self._store(signed, self._check(vertex), batch)
        return batch.close()

    def advance_horizon(self, horizon: Horizon) -> Admitted:
        """Let references at or below `horizon` count as present; answers what this let in."""
        index, quarantine = self._index, self._quarantine
        self._heads.restore(index, index.advance_horizon(horizon))
        freed: list[Waiting] = []
        for waiting in quarantine.collect():
            missing = dict.fromkeys([ref.id for ref in index.find_missing(waiting.signed.vertex)])
            old = [each for each in waiting.missing if each not in missing]
            quarantine.excuse(waiting, old)
            freed += [waiting] if old else []
        for waiting in quarantine.collect():
            if index.is_below(waiting.signed.vertex) and not self._is_needed(waiting.id):
                quarantine.remove(waiting.id)
        batch = _Batch()
        self._settle(freed, batch)
        return batch.close()

    def _is_needed(self, vertex_id: bytes) -> bool:
        """Whether what counts waits for a vertex, however old that is."""
        waiters = self._quarantine.get_waiters(vertex_id)
        return any(not self._index.is_below(waiting.signed.vertex) for waiting in waiters)

    def prune(self, horizon: Horizon) -> tuple[bytes, ...]:
        """Forget history at or below `horizon` and the own; answers the ids forgotten.

        First and newest profiles stay, and what was pinned: they tell who may speak, and where.
        """
        return self._index.prune(horizon, self._authors.list_current())

    def close(self, horizon: Horizon) -> tuple[bytes, ...]:
        """Raise the horizon, let nothing in by that, and forget what lies below: it is the end.

        What waits comes again, to whoever goes on from what is left.
        """
        self._index.advance_horizon(horizon)
        return self._index.prune(horizon, self._authors.list_current())

    def pin(self, vertex_id: bytes) -> None:
        """Keep a stored vertex for good, as evidence that proves something."""
        self._index.pin(vertex_id)

    def expire(self, now_ms: int) -> tuple[Outcome, ...]:
        """Let go what waited too long, and take in what was held until now."""
        self._quarantine.expire(now_ms)
        outcomes: list[Outcome] = []
        while (held := self._hold.take_due(now_ms)) is not None:
            vertex = held.signed.vertex
            if self._is_too_old(vertex):
                outcomes.append(BelowHorizon())
                continue
            unknown = self._find_unknown(vertex)
            if unknown is not None:
                outcomes.append(UnknownAuthor(unknown))
                continue
            try:
                outcomes.append(self._enter(now_ms, held.source, held.signed))
            except InvalidVertex as error:
                self._rejected.append(Rejected(held.signed.id, (held.source,), error))
        return tuple(outcomes)

    def _check_alone(self, vertex: Vertex) -> None:
        if vertex.network != self._network:
            raise WrongNetwork(f"a vertex of network {vertex.network.hex()[:16]}")
        if vertex.lane == LANE_SPEECH and vertex.seq == 0 and vertex.kind != Kind.PROFILE:
            raise InvalidVertex("first-profile", "an author's first vertex is its profile")

    def _is_too_old(self, vertex: Vertex) -> bool:
        return self._index.is_below(vertex) and not self._introduces(vertex)

    def _introduces(self, vertex: Vertex) -> bool:
        """Whether this is the first that is heard of an author.

        A first profile stands on the inviter's, however long ago that was written, so no age keeps
        it out.
        """
        if not is_first_profile(vertex):
            return False
        record = self._authors.get(vertex.author)
        return record is None or not record.profiles

    def _find_unknown(self, vertex: Vertex) -> bytes | None:
        """The author whose first profile has to be here before a vertex is decided on."""
        if not is_first_profile(vertex):
            return None if self._authors.get(vertex.author) is not None else vertex.author
        index = self._index
        if index.find_missing(vertex) or all(ref.id in index for ref in vertex.parents):
            return None  # the inviter's profile is among what is missing, or here if anywhere
        return self._authors.find_unknown_inviter(vertex)

    def _check(self, vertex: Vertex) -> CheckedProfile | None:
        """Check a vertex against its present parents. Raises `InvalidVertex`."""
        check_parents(self._index, vertex)
        if vertex.lane == LANE_SPEECH and vertex.kind == Kind.PROFILE:
            return self._authors.check_profile(vertex)
        return None

    def _hold_back(self, now_ms: int, source: str, signed: VerifiedVertex) -> Held | Refused | None:
        """Hold a vertex that is ahead of its time; None where a member's block needs it now."""
        if self._quarantine.find_member(signed.id) is not None:
            self._hold.remove(signed.id)
            return None
        held = self._hold.get(signed.id)
        if held is not None:
            return Held(held.until_ms)
        if signed.vertex.time_ms > now_ms + AHEAD_MAX_MS:
            return Refused("far-future")
        until_ms = signed.vertex.time_ms - self._future_hold_ms
        if not self._hold.add(HeldVertex(signed, source, until_ms)):
            return Refused("hold-full")
        return Held(until_ms)

    def _enter(self, now_ms: int, source: str, signed: VerifiedVertex) -> Outcome:
        """Admit a vertex whose parents are present; let any other wait."""
        vertex = signed.vertex
        missing = self._index.find_missing(vertex)
        kept_out = False
        if self._index.is_slot_full(vertex.author, vertex.lane, vertex.seq):
            if not self._quarantine.is_awaited(signed.id):
                return Refused("surplus-fork")
        elif self._is_kept_out(now_ms, vertex):
            if not self._quarantine.is_awaited(signed.id) and not self._are_parked(missing):
                return Refused("kept-out")
            kept_out = True
        elif not missing:
            return self._admit(signed)
        return self._wait(now_ms, source, signed, missing, kept_out=kept_out)

    def _admit(self, signed: VerifiedVertex) -> Admitted:
        try:
            checked = self._check(signed.vertex)
        except InvalidVertex as error:
            self._reject_descendants(signed.id, error)
            raise
        batch = _Batch()
        self._store(signed, checked, batch)
        self._settle(self._quarantine.resolve(signed.id), batch)
        return batch.close()

    def _wait(
        self,
        now_ms: int,
        source: str,
        signed: VerifiedVertex,
        missing: tuple[Ref, ...],
        *,
        kept_out: bool,
    ) -> Outcome:
        member = self._quarantine.find_member(signed.id) if kept_out else self._find_member(signed)
        waiting = Waiting(signed, source, missing, now_ms + self._ttl_ms, member)
        waiting.kept_out = kept_out
        if not self._quarantine.add(waiting):
            return Refused("quarantine-full")
        if member is not None:
            for vertex_id in waiting.missing:
                self._hold.make_due(vertex_id, now_ms)
        batch = _Batch()
        self._settle((waiting,), batch)
        return self._describe(waiting) if waiting.id in self._quarantine else batch.close()

    def _are_parked(self, refs: Iterable[Ref]) -> bool:
        found = (self._quarantine.get(ref.id) for ref in refs)
        return all(waiting is not None and waiting.parked for waiting in found)

    def _is_early(self, now_ms: int, vertex: Vertex) -> bool:
        """Whether a vertex waits for its time. Blocks do not: the order takes a median of theirs."""
        return vertex.time_ms > now_ms + self._future_hold_ms and not self.is_block(vertex)

    def is_block(self, vertex: Vertex) -> bool:
        """Whether it is a committee member's block."""
        block = vertex.lane == LANE_BLOCKS and vertex.kind == Kind.BLOCK
        return block and vertex.author in self._committee

    def _find_member(self, signed: VerifiedVertex) -> bytes | None:
        """The committee member on whose behalf a vertex is needed."""
        vertex = signed.vertex
        if self.is_block(vertex):
            return vertex.author
        return self._quarantine.find_member(signed.id)

    def _describe(self, waiting: Waiting) -> Quarantined:
        missing = tuple(
            ref
            for ref in waiting.missing.values()
            if ref.id not in self._quarantine and ref.id not in self._hold
        )
        return Quarantined(missing, waiting.member)

    def _settle(self, resolved: Iterable[Waiting], batch: _Batch) -> None:
        """Admit what has become complete, and what that completes in turn."""
        queue = deque(resolved)
        parked: dict[bytes, None] = {}
        while queue:
            waiting = queue.popleft()
            if waiting.id not in self._quarantine:
                continue
            surplus = self._collect_surplus(waiting)
            if surplus is None:
                continue
            vertex = waiting.signed.vertex
            is_full = self._index.is_slot_full(vertex.author, vertex.lane, vertex.seq)
            if not is_full and not waiting.kept_out:
                for item in (*surplus, waiting):
                    queue.extend(self._release(item, batch))
            elif waiting.id not in parked:
                parked[waiting.id] = None
                queue.extend(self._park(waiting))

    def _collect_surplus(self, waiting: Waiting) -> tuple[Waiting, ...] | None:
        """The parked ancestors that would enter with a vertex, parents first; None if more is missing."""
        found: dict[bytes, Waiting] = {}
        stack = list(waiting.missing)
        while stack:
            vertex_id = stack.pop()
            if vertex_id in found:
                continue
            parent = self._quarantine.get(vertex_id)
            if parent is None or not parent.parked:
                return None
            found[vertex_id] = parent
            stack.extend(parent.missing)
        return tuple(sorted(found.values(), key=lambda item: item.signed.ref))

    def _park(self, waiting: Waiting) -> tuple[Waiting, ...]:
        """Keep a surplus vertex for those that reference it; answers them."""
        waiting.parked = True
        waiters = self._quarantine.get_waiters(waiting.id)
        if not waiters and not waiting.kept_out:
            self._quarantine.remove(waiting.id)
        return waiters

    def _release(self, waiting: Waiting, batch: _Batch) -> tuple[Waiting, ...]:
        """Move a complete vertex from the quarantine to the store; answers who waited for it."""
        if waiting.id not in self._quarantine:
            return ()
        if self._find_unknown(waiting.signed.vertex) is not None:
            # The horizon has passed the inviter's profile: it is asked for when this comes again.
            self._quarantine.remove(waiting.id)
            return ()
        try:
            checked = self._check(waiting.signed.vertex)
        except InvalidVertex as error:
            self._reject_descendants(waiting.id, error)
            self._quarantine.remove(waiting.id)
            self._rejected.append(Rejected(waiting.id, waiting.sources, error))
            return ()
        self._quarantine.remove(waiting.id)
        self._store(waiting.signed, checked, batch)
        return self._quarantine.resolve(waiting.id)

    def _reject_descendants(self, vertex_id: bytes, cause: InvalidVertex) -> None:
        message = f"it stands on {vertex_id.hex()[:16]}"
        error = InvalidVertex("invalid-ancestor", message, cause.parent)
        for waiting in self._quarantine.collect_descendants(vertex_id):
            self._quarantine.remove(waiting.id)
            self._rejected.append(Rejected(waiting.id, waiting.sources, error))

    def _store(self, signed: VerifiedVertex, checked: CheckedProfile | None, batch: _Batch) -> None:
        entry = self._index.add(signed)
        self._heads.add(entry)
        if checked is not None:
            self._authors.admit_profile(entry.ref, signed.vertex, checked)
            if entry.seq == 0:
                self._index.pin(signed.id)
        batch.vertices.append(signed)
        if entry.twin is not None:
            fork = Fork(entry.author, entry.lane, entry.seq, entry.twin, entry.ref)
            if self._authors.mark_forked(fork):
                batch.forks.append(fork)
