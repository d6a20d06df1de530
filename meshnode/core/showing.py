"""What a node shows of itself, put together from its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.core.views import (
    ConsensusView,
    NodeSummary,
    NodeView,
    ValidatorView,
    show_peer,
)

if TYPE_CHECKING:
    from dag.intake import Intake
    from meshnode.core.fetching import Fetching
    from meshnode.core.history import History
    from meshnode.core.membership import Membership
    from meshnode.core.peers import Peers
    from meshnode.core.proposing import Proposing
    from meshnode.core.publishing import Publishing
    from meshnode.core.reconciliation import Reconciliation
    from meshnode.core.replica import Replica
    from meshnode.core.standings import Standings
    from meshnode.core.wants import Wants

SILENT_ROUNDS: Final = 8
"""A validator without a block in so many rounds is called silent."""
LOOK_BACK_ROUNDS: Final = 60


class Showing:
    """Reads the parts of a node, and changes none."""

    def __init__(
        self,
        author: bytes,
        *,
        intake: Intake,
        peers: Peers,
        membership: Membership,
        wants: Wants,
        fetching: Fetching,
        reconciliation: Reconciliation,
        publishing: Publishing,
        replica: Replica,
        proposing: Proposing,
        history: History,
        standings: Standings,
    ) -> None:
        self._author = author
        self._intake = intake
        self._peers = peers
        self._membership = membership
        self._wants = wants
        self._fetching = fetching
        self._reconciliation = reconciliation
        self._publishing = publishing
        self._replica = replica
        self._proposing = proposing
        self._history = history
        self._standings = standings

    def summarise(self) -> NodeSummary:
        """The figures of this moment."""
        intake = self._intake
        return NodeSummary(
            vertices=len(intake.index),
            heads_digest=self._reconciliation.digest.heads,
            lamport=intake.index.lamport_max,
            ready=self._peers.ready_count,
            quarantined=len(intake.quarantine),
            quarantined_bytes=intake.quarantine.size_bytes,
            held=intake.held_count,
            unknown_authors=len(self._wants),
            fetching=len(self._fetching),
            forks=intake.forks,
            speech=self._publishing.speech.value,
            publications_queued=self._publishing.queued,
            commit_index=self._replica.head.index,
            unordered=len(self._replica.backlog),
        )

    def view(self) -> NodeView:
        """A picture of this moment."""
        return NodeView(
            **msgspec.structs.asdict(self.summarise()),
            author=self._author,
            network=self._intake.authors.network,
            peers=tuple(show_peer(link) for link in self._peers.ready),
            members=tuple(self._intake.authors),
            heads=self._reconciliation.heads,
            offences={offence.value: count for offence, count in self._peers.offences.items()},
            alone=self._membership.alone,
            consensus=self._show_consensus(),
            refusal=self._standings.own_end or self._find_refusal(),
            repeats=self._publishing.repeats,
        )

    def _find_refusal(self) -> str:
        """What was said to this node where nobody lets it take part; anybody can say anything."""
        return "" if self._peers.ready_count else self._peers.refusal

    def _show_consensus(self) -> ConsensusView:
        replica = self._replica
        store, head = replica.ordering.store, replica.head
        lamport = self._intake.index.lamport_max
        return ConsensusView(
            epoch=replica.committee.epoch,
            profile=replica.committee.profile.name,
            round=store.highest_round,
            decided_round=replica.ordering.cursor.round - 1,
            commit_index=head.index,
            commit_digest=head.digest,
            commit_time_ms=head.time_ms,
            behind=max(0, self._reconciliation.find_peer_lamport() - lamport),
            quorum=replica.committee.thresholds.quorum,
            waiting=len(replica.backlog),
            inert=replica.inert_count,
            conflicts=replica.conflict_count,
            halted=replica.halted,
            standing=self._proposing.standing,
            own_round=self._proposing.own_round,
            certified_commit=self._history.pruned_commit,
            pruned=self._history.pruned,
            validators=self._show_validators(),
        )

    def _show_validators(self) -> tuple[ValidatorView, ...]:
        store = self._replica.ordering.store
        top = store.highest_round
        lowest = max(1, top - LOOK_BACK_ROUNDS)
        last_rounds: dict[int, int] = {}
        for round_ in range(lowest, top + 1):
            authors = store.get_authors(round_)
            for position in range(len(store.committee)):
                if authors >> position & 1:
                    last_rounds[position] = round_
        connected = {link.author: None for link in self._peers.ready} | {self._author: None}
        return tuple(
            ValidatorView(
                author=validator.author,
                stake=validator.stake,
                last_round=last_rounds.get(position, 0),
                is_silent=top - last_rounds.get(position, 0) >= SILENT_ROUNDS,
                is_connected=validator.author in connected,
            )
            for position, validator in enumerate(store.committee.validators)
        )
