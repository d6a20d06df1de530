"""What the roll of members means for this node: whom it hears, and whom it refuses.

The roll says by commit order who is out. From that commit on this node ends such an author's
connections and tells it why, dials it no more, and takes in what it says only where something needs
it that is heard. A validator is heard until the epoch ends in which it has a seat: its blocks may be
needed to end it. What was said before stays.

A member cannot be told from a stranger before its profile has come into the order. So whoever is in
no roll yet is heard, unless the invitation it came with is worth nothing any more.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from consensus.member_records import describe_end
from consensus.roll import HOUR_MS
from dag.bodies import INVITATION_DECODER, PROFILE_DECODER, SIGNED_INVITATION_DECODER
from dag.errors import InvalidMessage
from meshnode.core.events import MembershipEnded
from meshnode.core.newcomer_blocks import NewcomerBlocks
from meshnode.core.token_bucket import TokenBucket
from meshnode.core.transport_id import compute_transport_id
from meshnode.errors import CommandRejected

if TYPE_CHECKING:
    from consensus.roll import Roll
    from dag.bodies import Invitation
    from dag.intake import Intake
    from dag.vertex import Vertex
    from meshnode.core.membership import Membership
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.reconciliation import Reconciliation
    from meshnode.core.replica import Replica
    from meshnode.core.settings import Settings

SPEAKERS_MAX: Final = 4_096
"""Newcomers whose vertices are counted; who has been silent for longest makes room."""


class Standings:
    """Follows the roll."""

    def __init__(
        self, settings: Settings, intake: Intake, replica: Replica, outbox: Outbox
    ) -> None:
        self._author = settings.author
        self._intake = intake
        self._replica = replica
        self._outbox = outbox
        self._peers: Peers | None = None
        self._membership: Membership | None = None
        self._reconciliation: Reconciliation | None = None
        limits = settings.genesis.newcomers
        self._said_max = 0 if limits is None else limits.vertices_per_hour
        self._is_open = settings.genesis.parameters.open
        self._blocks = NewcomerBlocks(0 if limits is None else limits.joins_per_hour)
        self._said: dict[bytes, TokenBucket] = {}
        """What newcomers may still say; who spoke last comes last."""
        self._mark = (-1, -1)
        self._read = 0
        """How many of those who are out were looked at."""
        self._seated: dict[bytes, None] = {}
        """Those who are out, and heard as long as they have a seat."""
        intake.set_policy(self.is_kept_out)
        if limits is not None:
            intake.authors.set_counted(self._roll.members)

    def attach(self, peers: Peers, membership: Membership, reconciliation: Reconciliation) -> None:
        """Name those who carry out what follows; called once, before anything else."""
        self._peers, self._membership = peers, membership
        self._reconciliation = reconciliation

    @property
    def _roll(self) -> Roll:
        return self._replica.machines.roll

    @property
    def own_end(self) -> str:
        """Why this node is no member any more, as far as it knows the order; else empty."""
        return self._describe(self._author)

    def _describe(self, author: bytes) -> str:
        record = self._roll.get(author)
        return "" if record is None else describe_end(record)

    # --- who is refused -------------------------------------------------------------------------

    def explain(self, author: bytes) -> str:
        """Why a known author is refused, in one line; empty for who is heard."""
        registry = self._intake.authors
        if registry.is_barred(author):
            return self._describe(author)
        known = registry.get(author)
        if known is None or known.invitation is None or self._roll.get(author) is not None:
            return ""
        # What expires while no commit puts the profile out was in time.
        return self._explain(known.invitation, author, 0)

    def explain_newcomer(self, now_ms: int, vertex: Vertex) -> str:
        """Why the author of a first profile that is not known here is refused; else empty."""
        try:
            encoded = PROFILE_DECODER.decode(vertex.body).invitation
            if not encoded:
                return ""
            data = SIGNED_INVITATION_DECODER.decode(encoded).invitation
            invitation = INVITATION_DECODER.decode(data)
        except InvalidMessage:
            return ""  # intake says what is wrong with it
        refusal = self._explain(invitation, vertex.author, now_ms)
        if refusal or self._roll.get(vertex.author) is not None:
            return refusal
        known = self._intake.authors.count_invited(invitation.inviter, invitation.bearer_key)
        if known >= invitation.uses:
            return f"author {vertex.author.hex()[:8]} is refused: its invitation is used up"
        return ""

    def _explain(self, invitation: Invitation, author: bytes, now_ms: int) -> str:
        refusal = self._roll.find_refusal(invitation, now_ms)
        return f"author {author.hex()[:8]} is refused: {refusal}" if refusal else ""

    def explain_block(self, now_ms: int, address: str, sponsor: bytes = b"") -> str:
        """Why a newcomer to an open network is not let in from an address; else empty, and it counts.

        What a member brings along came in elsewhere. A sponsor has proved who it is.
        """
        if not self._is_open or sponsor in self._roll.members:
            return ""
        if self._blocks.let_in(now_ms, address):
            return ""
        return "too many newcomers came this way within the hour; come by another member, or later"

    def check_speech(self) -> None:
        """Raises `CommandRejected` where nobody takes what this node says."""
        if self.own_end:
            raise CommandRejected(
                self.own_end, hint="make a new identity, and join with a new ticket"
            )

    # --- what is kept out -----------------------------------------------------------------------

    def is_kept_out(self, now_ms: int, vertex: Vertex) -> bool:
        """Whether a vertex enters only where something needs it that is heard."""
        author = vertex.author
        if author == self._author:
            return False
        if self._intake.authors.is_barred(author):
            return True
        if not self._said_max or author in self._roll.members:
            return False
        return not self._take_token(now_ms, author)

    def _take_token(self, now_ms: int, author: bytes) -> bool:
        bucket = self._said.pop(author, None)
        if bucket is None:
            bucket = TokenBucket(HOUR_MS // self._said_max, self._said_max)
        self._said[author] = bucket
        if len(self._said) > SPEAKERS_MAX:
            del self._said[next(iter(self._said))]
        return bucket.take(now_ms)

    # --- following ------------------------------------------------------------------------------

    def follow(self, now_ms: int) -> None:
        """Draw the consequences of what the last commits did to the roll."""
        roll, committee = self._roll, self._replica.committee
        mark = (roll.changes, committee.epoch)
        if mark == self._mark:
            return
        self._mark = mark
        fresh = dict.fromkeys((*self._seated, *islice(roll.gone, self._read, None)))
        self._read = len(roll.gone)
        self._seated = {}
        for author in fresh:
            if author == self._author:
                self._outbox.emit(MembershipEnded(author, self.own_end))
            elif committee.get_index(author) is not None:
                self._seated[author] = None
            else:
                self._bar(now_ms, author)
        self._review(now_ms)

    def _bar(self, now_ms: int, author: bytes) -> None:
        registry = self._intake.authors
        registry.bar(author)
        known = registry.get(author)
        peer = "" if known is None else compute_transport_id(known.keys.libp2p_key)
        reason = self._describe(author)
        self._outbox.emit(MembershipEnded(author, reason))
        assert self._membership is not None
        assert self._peers is not None
        self._membership.bar(author, peer)
        self._peers.refuse_author(now_ms, author, reason)

    def _review(self, now_ms: int) -> None:
        """Refuse whose invitation is worth nothing by now, and compare stores anew."""
        assert self._peers is not None
        assert self._reconciliation is not None
        for link in self._peers.ready:
            if reason := self.explain(link.author):
                self._peers.refuse(now_ms, link, reason)
        self._reconciliation.changed(now_ms)
