"""Making blocks: this node's part as a validator.

The pacemaker says when, and on which blocks. Here the block becomes a vertex: the lane-0 heads it
puts in order are chosen, it is signed by a job, and it goes the way of every own vertex, durable
before it is sent. One block is made at a time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from consensus.block import BlockBody, CommitVote, encode_body
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
    from collections.abc import Callable, Iterable, Sequence

    from consensus.block import Block
    from consensus.proposal import Proposal
    from dag.intake import Intake
    from dag.order import Commit
    from meshnode.core.link import Link
    from meshnode.core.outbox import Outbox
    from meshnode.core.replica import Replica
    from meshnode.core.requests import Requests
    from meshnode.core.settings import Settings


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
        admit: Callable[[int, VerifiedVertex], None],
    ) -> None:
        self._author = settings.author
        self._network: bytes = intake.authors.network
        self._intake = intake
        self._outbox = outbox
        self._replica = replica
        self._admit = admit
        self._voted = 0
        """Index of the last commit voted for in this life."""
        self._now_ms = 0
        self._is_cut_off = False
        """The own lane ends in what is no block here: nothing can stand on it."""
        position = replica.committee.get_index(settings.author) if settings.validates else None
        self._pacemaker: Pacemaker | None = None
        if position is not None:
            self._pacemaker = Pacemaker(
                replica.ordering, replica.schedule, position, settings=settings.pace
            )
        self._past = OwnPast(
            settings.author,
            outbox,
            requests,
            is_stored=intake.index.__contains__,
            on_answered=self._on_answered,
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
        if pacemaker.is_recovering:
            return "recovering"
        return "active" if pacemaker.is_connected else "no_quorum"

    def _is_barred(self) -> bool:
        halted = bool(self._replica.halted) or self._is_cut_off
        return halted or self._intake.authors.is_forked(self._author)

    # --- what happens ---------------------------------------------------------------------------

    def follow(
        self, now_ms: int, block: Block | None, commits: Iterable[Commit], *, made_here: bool
    ) -> None:
        """A vertex was admitted, or restored: perhaps a valid block, perhaps with commits."""
        pacemaker = self._pacemaker
        if pacemaker is None:
            return
        if block is not None:
            if made_here:
                pacemaker.on_own(now_ms, block)
            else:
                pacemaker.on_block(now_ms, block)
        for commit in commits:
            pacemaker.on_commit(now_ms, commit)
        if pacemaker.is_recovering:
            self._past.check(now_ms)

    def on_ready(self, now_ms: int, link: Link, ready: Sequence[Link]) -> None:
        """A connection is ready."""
        pacemaker = self._pacemaker
        if pacemaker is None:
            return
        validator = self._replica.committee.get_index(link.author)
        if validator is not None and pacemaker.is_recovering:
            self._past.ask(now_ms, link.peer, validator)
        pacemaker.on_connected(now_ms, self._collect(ready))

    def on_lost(self, now_ms: int, link: Link, ready: Sequence[Link]) -> None:
        """A connection has ended."""
        if self._pacemaker is not None:
            self._past.drop_peer(link.peer)
            self._pacemaker.on_connected(now_ms, self._collect(ready))

    def _collect(self, links: Iterable[Link]) -> int:
        """The validators at the other ends, as bits."""
        authors = 0
        for link in links:
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
        if pacemaker is None or self._is_barred():
            return
        pacemaker.on_payload(is_waiting=len(self._replica.backlog) > 0)
        pacemaker.on_deadline(self._replica.find_deadline())
        proposal = pacemaker.propose(now_ms)
        if proposal is not None:
            self._draft(now_ms, proposal)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self._pacemaker is None or self._is_barred():
            return None
        return self._pacemaker.next_deadline(self._now_ms)

    def _draft(self, now_ms: int, proposal: Proposal) -> None:
        index = self._intake.index
        blocks = tuple(block.ref for block in proposal.parents)
        waiting = self._replica.backlog.refs if proposal.references_payload else ()
        parents = (*blocks, *choose_payload(index, waiting, blocks))
        last = index.get_last(self._author, LANE_BLOCKS)
        previous = blocks[0] if proposal.previous_round else None
        if previous != (None if last is None else last.ref):
            self._is_cut_off = True
            return
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
        self._outbox.run(SignVertex(vertex_id), partial(self._on_signed, vertex_id, vertex))

    def _vote(self) -> tuple[CommitVote, ...]:
        head = self._replica.head
        if head.index <= self._voted:
            return ()
        self._voted = head.index
        return (CommitVote(head.index, head.digest),)

    def _on_signed(self, vertex_id: bytes, vertex: Vertex, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Signed)
        assert self._pacemaker is not None, "who has no seat signs no block"
        if self._is_barred() or self._pacemaker.is_stopped:
            self._pacemaker.on_abandoned()
            return
        wire = encode(Envelope(encode_vertex(vertex), outcome.signature))
        self._admit(now_ms, VerifiedVertex(vertex_id, vertex, wire, outcome.signature))
