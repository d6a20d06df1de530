"""Profiles that lead from a founder to a guest: the own ones, and those that guests bring along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.authors import is_first_profile
from dag.errors import InvalidMessage, Offence
from meshnode.core.inputs import Candidate, Standing, Vertices
from meshnode.core.link import Link, Phase
from meshnode.core.messages import CREDENTIALS_MAX
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from dag.authors import AuthorRegistry
    from meshnode.core.admission import Admission
    from meshnode.core.peers import Peers
    from meshnode.core.standings import Standings
    from meshnode.core.store import Store


class CredentialsDesk:
    """Admits profiles from those who are not ready yet, and nothing else."""

    def __init__(
        self,
        authors: AuthorRegistry,
        store: Store,
        peers: Peers,
        standings: Standings,
    ) -> None:
        self._authors = authors
        self._store = store
        self._peers = peers
        self._standings = standings

    def admit_own(self, now_ms: int, admission: Admission, credentials: tuple[bytes, ...]) -> None:
        """Know whom this node was invited by. Raises `ConfigError`."""
        try:
            for wire in credentials:
                candidate = admission.check_vertex(wire)
                if self._is_news(candidate):
                    self._store.offer_candidate(now_ms, "", candidate)
        except InvalidMessage as error:
            message = f"a profile among the credentials is not valid: {error}"
            raise ConfigError(message, hint="ask for a new ticket") from error

    def accept(self, now_ms: int, link: Link, message: Vertices) -> None:
        """Admit the profiles that lead to a peer.

        Those of known authors are passed over: a guest that lost its journal may have signed a
        second first profile, and must hear of the one it has before that one spreads. Profiles that
        would have to wait are passed over too: what members need must not be crowded out by
        strangers.
        """
        link.credentials += len(message.candidates)
        if link.credentials > CREDENTIALS_MAX:
            self._peers.offend(now_ms, link.peer, Offence.FLOOD, "too many credentials")
            return
        for candidate in message.candidates:
            if not is_first_profile(candidate.signed.vertex):
                self._peers.offend(
                    now_ms, link.peer, Offence.OUT_OF_TURN, "credentials are profiles"
                )
                return
            if link.phase is Phase.CLOSED:
                return
            if self._is_news(candidate) and self._store.is_ripe(now_ms, candidate.signed):
                self._admit(now_ms, link, candidate)

    def _admit(self, now_ms: int, link: Link, candidate: Candidate) -> None:
        """Let a newcomer in, unless its invitation is worth nothing: then nothing of it is kept."""
        reason = self._standings.explain_newcomer(now_ms, candidate.signed.vertex)
        reason = reason or self._standings.explain_block(now_ms, link.address)
        if reason and candidate.signed.vertex.author == link.author:
            self._peers.refuse(now_ms, link, reason)
        elif not reason:
            self._store.offer_candidate(now_ms, link.peer, candidate)

    def turns_away(self, now_ms: int, link: Link, candidate: Candidate) -> bool:
        """Whether what a ready peer brings is one newcomer too many that nobody heard here needs."""
        is_newcomer = is_first_profile(candidate.signed.vertex) and self._is_news(candidate)
        if not is_newcomer or self._store.is_awaited(candidate.signed.id):
            return False
        return bool(self._standings.explain_block(now_ms, link.address, link.author))

    def _is_news(self, candidate: Candidate) -> bool:
        record = self._authors.get(candidate.signed.vertex.author)
        known = record is not None and bool(record.profiles)
        return not known and candidate.standing is Standing.VERIFIED
