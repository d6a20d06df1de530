"""Making blocks: this node's part as a validator.

The pacemaker says when, and on which blocks. Here the block becomes a vertex: the lane-0 heads it
puts in order are chosen, it is signed by a job, and it goes the way of every own vertex, durable
before it is sent. One block is made at a time. With a new epoch comes a new pacemaker, if the
committee has a seat for this node.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from consensus.block import BlockBody, CommitVote, encode_body
from consensus.coverage import COVERED_COUNT_MAX
from consensus.pacemaker import Pacemaker
from dag.canonical import encode
from dag.heads import compute_lamport
from dag.identity import VerifiedVertex
from dag.types import LANE_BLOCKS, WIRE_VERSION, Kind
from dag.vertex import Envelope, Vertex, compute_vertex_id, encode_vertex
from meshnode.core.effects import SignVertex
from meshnode.core.inputs import Outcome, Signed
from meshnode.core.own_past import OwnPast
from meshnode.core.payload_choice import choose_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consensus.proposal import Proposal
    from dag.index import Entry
    from dag.intake import Intake
    from dag.types import Ref
    from meshnode.core.link import Link
    from meshnode.core.outbox import Outbox
    from meshnode.core.replica import Replica, Step
    from meshnode.core.requests import Requests
    from meshnode.core.settings import Settings
    from meshnode.core.store import Store


class Proposing:
    """The own lane of blocks. Without a seat in the committee it does nothing."""

    def __init__(
        self,
        settings: Settings,
        *,
        intake: Intake,
        outbox: Outbox,
        requests: Requests,
        replica: Replica,
        list_ready: Callable[[], Sequence[Link]],
        store: Store,
        on_seated: Callable[[int, Sequence[bytes]], None],
        may_speak: Callable[[], bool],
    ) -> None:
        """Begin without a seat, or with that of the first committee.

        `on_seated` is told the other validators of every committee; of none without a seat.
        `may_speak` tells whether peers, of whatever kind, have said what they hold of this node.
        """
        self._settings = settings
        self._author = settings.author
        self._network: bytes = intake.authors.network
        self._intake = intake
        self._outbox = outbox
        self._requests = requests
        self._replica = replica
        self._list_ready = list_ready
        self._store = store
        self._on_seated = on_seated
        self._may_speak = may_speak
        self._voted = 0
        """Index of the last commit voted for in this life."""
        self._now_ms = 0
        self._is_cut_off = False
        """The own lane ends in what is no block here: nothing can stand on it."""
        self._epoch = replica.committee.epoch
        self._pacemaker: Pacemaker | None = None
        self._past = self._make_past()
        self._take_seat(0, must_ask=True)

    def _make_past(self) -> OwnPast:
        return OwnPast(
            self._author,
            self._outbox,
            self._requests,
            is_stored=self._intake.index.__contains__,
            is_to_come=self._store.take_own_past,
            on_answered=self._on_answered,
        )

    def _take_seat(self, now_ms: int, *, must_ask: bool) -> None:
        replica, settings = self._replica, self._settings
        position = replica.committee.get_index(self._author) if settings.validates else None
        members = () if position is None else replica.committee.validators
        others = [member.author for member in members if member.author != self._author]
        self._on_seated(now_ms, others)
        self._pacemaker = None
        if position is not None:
            self._pacemaker = Pacemaker(
                replica.ordering,
                replica.schedule,
                position,
                settings=settings.pace,
                now_ms=now_ms,
                must_ask=must_ask,
            )

    @property
    def own_round(self) -> int:
        """Round of the own last block, 0 for none."""
        return 0 if self._pacemaker is None else self._pacemaker.own_round

    @property
    def standing(self) -> str:
        """What keeps this node from making blocks, if anything: see `ConsensusView.standing`."""
        pacemaker = self._pacemaker
        if pacemaker is None:
            return "follower"
        if self._is_barred() or pacemaker.is_stopped:
            return "stopped"
        if pacemaker.is_recovering or self._is_unheard():
            return "recovering"
        return "active" if pacemaker.is_connected else "no_quorum"

    def _is_barred(self) -> bool:
        replica, author = self._replica, self._author
        halted = bool(replica.halted) or self._is_cut_off
        # Own blocks of a later epoch: an earlier life has seen the end of this one.
        return halted or self._intake.authors.is_forked(author) or replica.is_early(author)

    def _is_unheard(self) -> bool:
        """Whether the only validator has not heard yet what others hold of it: nobody votes with it."""
        return len(self._replica.committee.validators) == 1 and not self._may_speak()

    # --- what happens ---------------------------------------------------------------------------

    def start(self, now_ms: int) -> None:
        """Every stored vertex is back."""
        if self._pacemaker is not None:
            self._pacemaker.on_started(now_ms)

    def follow(self, now_ms: int, step: Step, *, made_here: bool) -> None:
        """A vertex was admitted, or restored: perhaps a valid block, perhaps with commits."""
        if self._replica.committee.epoch != self._epoch:
            self._begin_epoch(now_ms)
        elif self._pacemaker is not None:
            self._pass_on(now_ms, self._pacemaker, step, made_here=made_here)
        pacemaker = self._pacemaker
        if pacemaker is None:
            return
        for block in step.released:
            pacemaker.on_block(now_ms, block)
        for commit in step.commits:
            pacemaker.on_commit(now_ms, commit)
        if pacemaker.is_recovering:
            self._past.check(now_ms)

    def _pass_on(self, now_ms: int, pacemaker: Pacemaker, step: Step, *, made_here: bool) -> None:
        block, outdated = step.block, step.outdated
        if outdated is not None and outdated.author == self._replica.committee.get_index(
            self._author
        ):
            block = outdated  # The floor has passed it, and the own next block stands on it.
        if block is None:
            return
        if made_here:
            pacemaker.on_own(now_ms, block)
        else:
            pacemaker.on_block(now_ms, block)

    def _begin_epoch(self, now_ms: int) -> None:
        """Go over to the next committee; what is being signed for the last one is given up."""
        before = self._pacemaker
        # Who has heard what validators hold of its past knows all of it, also of later epochs.
        must_ask = before is None or before.is_recovering
        self._epoch = self._replica.committee.epoch
        self._is_cut_off = False
        self._past.end()
        self._take_seat(now_ms, must_ask=must_ask)
        pacemaker = self._pacemaker
        if pacemaker is None:
            return
        store = self._replica.ordering.store
        for round_ in range(store.floor + 1, store.highest_round + 1):
            for block in store.get_round(round_):
                pacemaker.on_block(now_ms, block)
        self._past = self._make_past()
        for link in self._list_ready():
            self._ask(now_ms, pacemaker, link)
        pacemaker.on_connected(now_ms, self._collect_connected())

    def on_ready(self, now_ms: int, link: Link) -> None:
        """A connection is ready."""
        pacemaker = self._pacemaker
        if pacemaker is not None:
            self._ask(now_ms, pacemaker, link)
            pacemaker.on_connected(now_ms, self._collect_connected())

    def on_lost(self, now_ms: int, link: Link) -> None:
        """A connection has ended."""
        if self._pacemaker is not None:
            self._past.drop_peer(link.peer)
            self._pacemaker.on_connected(now_ms, self._collect_connected())

    def _ask(self, now_ms: int, pacemaker: Pacemaker, link: Link) -> None:
        validator = self._replica.committee.get_index(link.author)
        if validator is not None and pacemaker.is_recovering:
            self._past.ask(now_ms, link.peer, validator)

    def _collect_connected(self) -> int:
        """The validators at the other ends, as bits."""
        authors = 0
        for link in self._list_ready():
            validator = self._replica.committee.get_index(link.author)
            if validator is not None:
                authors |= 1 << validator
        return authors

    def _on_answered(self, now_ms: int, validator: int) -> None:
        assert self._pacemaker is not None, "who has no seat asks nobody"
        self._pacemaker.on_answered(now_ms, validator)

    # --- what is to be done ---------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Make the block that is due; called after every input."""
        self._now_ms = now_ms
        pacemaker = self._pacemaker
        if pacemaker is None or self._is_barred() or self._is_unheard():
            return
        is_waiting = len(self._replica.backlog) > 0 or self._replica.has_errand
        pacemaker.on_payload(is_waiting=is_waiting)
        pacemaker.on_deadline(self._replica.find_deadline())
        proposal = pacemaker.propose(now_ms)
        if proposal is not None:
            self._draft(now_ms, pacemaker, proposal)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self._pacemaker is None or self._is_barred() or self._is_unheard():
            return None
        return self._pacemaker.next_deadline(self._now_ms)

    def _draft(self, now_ms: int, pacemaker: Pacemaker, proposal: Proposal) -> None:
        last = self._intake.index.get_last(self._author, LANE_BLOCKS)
        blocks = tuple(block.ref for block in proposal.parents) or self._find_genesis(last)
        before = self._find_before(proposal, blocks, None if last is None else last.ref)
        if before is None:
            self._is_cut_off = True
            return
        parents = (*before, *blocks, *self._choose_payload(proposal))
        vertex = Vertex(
            version=WIRE_VERSION,
            network=self._network,
            author=self._author,
            lane=LANE_BLOCKS,
            seq=0 if last is None else last.seq + 1,
            lamport=compute_lamport(parents),
            kind=Kind.BLOCK,
            time_ms=now_ms,
            parents=parents,
            body=encode_body(
                BlockBody(
                    self._replica.committee.epoch,
                    proposal.round,
                    proposal.previous_round,
                    len(blocks),
                    self._vote(),
                )
            ),
        )
        vertex_id = compute_vertex_id(vertex)
        on_signed = partial(self._on_signed, pacemaker, vertex_id, vertex)
        self._outbox.run(SignVertex(vertex_id, urgent=True), on_signed)

    def _find_before(
        self, proposal: Proposal, blocks: tuple[Ref, ...], last: Ref | None
    ) -> tuple[Ref, ...] | None:
        """What of the own lane stands before the block parents; None where nothing can follow."""
        store = self._replica.ordering.store
        if proposal.previous_round:
            return () if last == blocks[0] else None
        if last is None:
            return ()
        is_of_this_epoch = store.get(last.id) is not None or store.is_inert(last.id)
        return None if is_of_this_epoch else (last,)

    def _find_genesis(self, last: Entry | None) -> tuple[Ref, ...]:
        """What a block of round 1 names for genesis, unless it is the own last block."""
        leader = self._replica.ordering.last_leader
        entry = None if leader is None else self._intake.index.get(leader)
        return () if entry is None or entry is last else (entry.ref,)

    def _choose_payload(self, proposal: Proposal) -> tuple[Ref, ...]:
        waiting: Sequence[Ref] = ()
        if proposal.references_payload:
            backlog = self._replica.backlog
            waiting = backlog.list_left(proposal.seen, count_max=COVERED_COUNT_MAX)
        blocks = [block.ref for block in proposal.parents]
        covered = self._replica.ordering.collect_covered(waiting, proposal.round, blocks)
        return choose_payload(self._intake.index, waiting, covered)

    def _vote(self) -> tuple[CommitVote, ...]:
        replica, votes = self._replica, []
        position = replica.committee.get_index(self._author)
        assert position is not None, "who has no seat makes no block"
        checkpoint = replica.find_vote(position)
        if checkpoint is not None:
            votes.append(checkpoint)
        head = replica.head
        if head.index > self._voted:
            self._voted = head.index
            if checkpoint is None or checkpoint.index < head.index:
                votes.append(CommitVote(head.index, head.digest))
        return tuple(votes)

    def _on_signed(
        self,
        pacemaker: Pacemaker,
        vertex_id: bytes,
        vertex: Vertex,
        now_ms: int,
        outcome: Outcome,
    ) -> None:
        assert isinstance(outcome, Signed)
        if pacemaker is not self._pacemaker:
            return  # Its epoch has ended meanwhile, and nothing of it has left this node.
        is_late = self._intake.index.is_below(vertex)
        if is_late or self._is_barred() or pacemaker.is_stopped:
            pacemaker.on_abandoned()
            return
        wire = encode(Envelope(encode_vertex(vertex), outcome.signature))
        self._store.admit_own(now_ms, VerifiedVertex(vertex_id, vertex, wire, outcome.signature))
