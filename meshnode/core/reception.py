"""What a ready peer says, and which part of the node it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.types import LANE_BLOCKS
from meshnode.core.dissemination import Way
from meshnode.core.inputs import Candidate, Checked, Standing, Vertices
from meshnode.core.link import Link, Phase
from meshnode.core.messages import (
    Advert,
    Checkpoint,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    GetSnapshot,
    Graft,
    Heads,
    IHave,
    Neighbour,
    Pong,
    Prune,
    Ranges,
    Shuffle,
    ShuffleReply,
    Snapshot,
)
from meshnode.core.verify_budget import VerifyBudget

if TYPE_CHECKING:
    from dag.authors import AuthorRegistry
    from meshnode.core.adverts import Adverts
    from meshnode.core.answers import Answers
    from meshnode.core.credentials import CredentialsDesk
    from meshnode.core.dissemination import Dissemination
    from meshnode.core.overlay import Overlay
    from meshnode.core.reconciliation import Reconciliation
    from meshnode.core.requests import Requests
    from meshnode.core.state_transfer import StateTransfer
    from meshnode.core.store import Store
    from meshnode.core.wants import Wants


class Reception:
    """Routes the messages of ready peers."""

    def __init__(
        self,
        *,
        store: Store,
        authors: AuthorRegistry,
        requests: Requests,
        wants: Wants,
        overlay: Overlay,
        dissemination: Dissemination,
        reconciliation: Reconciliation,
        answers: Answers,
        adverts: Adverts,
        transfer: StateTransfer,
        desk: CredentialsDesk,
    ) -> None:
        self._store = store
        self._authors = authors
        self._requests = requests
        self._wants = wants
        self._overlay = overlay
        self._dissemination = dissemination
        self._reconciliation = reconciliation
        self._answers = answers
        self._adverts = adverts
        self._transfer = transfer
        self._desk = desk
        self.budget = VerifyBudget()

    def take(self, now_ms: int, link: Link, message: Checked) -> None:
        """Hand a message on."""
        match message:
            case Vertices():
                self._on_vertices(now_ms, link, message)
            case IHave():
                self._dissemination.on_ihave(now_ms, link.peer, message)
            case Digest():
                self._reconciliation.on_digest(now_ms, link.peer, message)
            case Pong():
                self._reconciliation.on_digest(now_ms, link.peer, message.digest)
            case Heads():
                self._reconciliation.on_heads(now_ms, link.peer, message)
            case Ranges():
                self._reconciliation.on_ranges(now_ms, link.peer, message)
            case Neighbour() | Disconnect() | Shuffle() | ShuffleReply():
                self._overlay.on_message(now_ms, link, message)
            case Graft() | Prune():
                self._dissemination.on_branch(now_ms, link.peer, message)
            case Get() | GetProfiles() | GetLast() | GetSnapshot():
                self._answers.on_question(now_ms, link.peer, message)
            case Checkpoint():
                link.suspicion.floor = link.suspicion.floor.join(message.floor)
                self._reconciliation.note_floor(link.peer, message.floor)
                self._transfer.on_checkpoint(now_ms, link.peer, message)
            case Snapshot():
                self._transfer.on_piece(now_ms, link.peer, message)
            case _:
                assert isinstance(message, Advert), "the handshake and PING end at the connection"
                self._adverts.on_advert(now_ms, link, message)

    def _on_vertices(self, now_ms: int, link: Link, message: Vertices) -> None:
        asked = message.request != 0
        if asked and not self._requests.is_asked(now_ms, link.peer, message):
            return
        if message.candidates:
            self._requests.note_progress(now_ms, link.peer)
        if not self._transfer.is_asked(message.request):
            for candidate in message.candidates:
                if link.phase is Phase.READY:
                    self._take_vertex(now_ms, link, candidate, asked=asked)
            if message.pruned_commit:
                self._transfer.on_pruned(now_ms, message.pruned_commit)
        if asked and link.phase is Phase.READY:
            self._requests.answer(now_ms, message)

    def _take_vertex(self, now_ms: int, link: Link, candidate: Candidate, *, asked: bool) -> None:
        signed, peer = candidate.signed, link.peer
        if candidate.standing is Standing.UNREAD:
            self.budget.note_unread(now_ms, peer, link.author)
            return
        if self._desk.turns_away(now_ms, link, candidate):
            return
        author = signed.vertex.author
        is_direct = author == link.author or (
            signed.vertex.lane == LANE_BLOCKS and self._overlay.is_colleague(author)
        )
        if is_direct or self._authors.is_avoided(author):
            way = Way.BESIDE
        else:
            way = Way.PULLED if asked else Way.PASSED_ON
        is_new = self._store.is_needed(signed.id)
        self._dissemination.note_vertex(now_ms, peer, signed.id, way, is_new=is_new)
        if candidate.standing is Standing.VERIFIED:
            waiting = self._store.count_waiting()
            self._offer(now_ms, peer, candidate, asked=asked)
            is_more = self._store.is_stored(signed.id) or self._store.count_waiting() > waiting
            if not (asked or (is_new and is_more)) and link.phase is Phase.READY:
                self.budget.note_useless(now_ms, peer, link.author)
        elif candidate.standing is Standing.UNKNOWN_AUTHOR:
            keys = self._authors.get_keys(signed.vertex.author)
            if keys is None:
                self._wants.add(peer, signed)
            else:
                self._wants.check(peer, signed, keys)

    def _offer(self, now_ms: int, peer: str, candidate: Candidate, *, asked: bool) -> None:
        self._reconciliation.note_progress(now_ms, peer, asked=asked)
        if self._overlay.is_on:
            lamport = candidate.signed.vertex.lamport
            is_news = lamport > self._reconciliation.find_peer_lamport()
            self._store.offer_paced(now_ms, peer, candidate, is_news=is_news)
        else:
            self._store.offer_candidate(now_ms, peer, candidate)
