"""The roll of members: who has come in, who is out, and by what; folded over commits.

Everybody comes in by a profile that a commit puts out. What intake cannot know is settled here, in
the order of commits, so that every node answers alike whatever came to it first: how often an
invitation was used, whether it had expired by commit time, and whether it was taken back by a commit
before. Uses within the commit that takes it back still count.

Membership ends by the author's own word, or by a decision. It ends for good, and what was said
before stays: from that commit on nothing the author says has effect. Nothing here raises on what a
peer says: what has no effect is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from consensus.errors import InvalidDecision
from consensus.member_records import REASON_CHARACTERS_MAX, MemberRecord, Standing
from dag.authors import is_first_profile
from dag.bodies import (
    INVITATION_DECODER,
    MEMBERSHIP_DECODER,
    PROFILE_DECODER,
    SIGNED_INVITATION_DECODER,
    IdentityRevocation,
    Invitation,
    InvitationRevocation,
)
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import InvalidMessage
from dag.genesis import Genesis, NewcomerLimits, Suite, compute_network_id
from dag.identity import compute_author_id
from dag.introduction import read_proven
from dag.order import Commit
from dag.types import ID_BYTES, LANE_SPEECH, Kind
from dag.vertex import SignedVertex, Vertex

ROOT_DOMAIN: Final = b"meshnode/roll/1"
SNAPSHOT_BYTES_MAX: Final = 256 * 1024 * 1024
REVOKED_PER_INVITER_MAX: Final = 1_024
"""Invitations that one member can take back in the order; its own node refuses any others."""
WAITING_MAX: Final = 4_096
"""Who wait for their turn in an open network; whoever comes then says its profile again later."""
HOUR_MS: Final = 3_600_000
NO_LIMITS: Final = NewcomerLimits(0, 0, 0)


class RevokedInvitation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An invitation that was taken back, and the commit that did it."""

    inviter: bytes
    bearer_key: bytes
    since: int


class _Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    records: tuple[MemberRecord, ...]
    revoked: tuple[RevokedInvitation, ...]
    window_ms: int
    window_count: int
    ignored: int


_decoder: Final = CanonicalDecoder(_Snapshot, what="roll of members", bytes_max=SNAPSHOT_BYTES_MAX)


class Roll:
    """Everybody who came, in order; a state machine over commits."""

    def __init__(self, genesis: Genesis) -> None:
        """Begin with the founders, and the committee that the genesis names."""
        self._network = compute_network_id(genesis)
        self._suite: Suite = genesis.suite
        self._is_open = genesis.parameters.open
        self._limits = genesis.newcomers or NO_LIMITS
        self._seats = dict.fromkeys(validator.author for validator in genesis.committee)
        self._records: dict[bytes, MemberRecord] = {}
        self._revoked: dict[tuple[bytes, bytes], RevokedInvitation] = {}
        self._window_ms = self._window_count = self._ignored = self._changes = 0
        self._members: dict[bytes, None] = {}
        self._newcomers: dict[bytes, int] = {}
        """By author, when its probation ends; the first to end comes first."""
        self._waiting: dict[bytes, None] = {}
        self._gone: dict[bytes, MemberRecord] = {}
        self._uses: dict[tuple[bytes, bytes], int] = {}
        self._revoked_counts: dict[bytes, int] = {}
        for profile in genesis.founders:
            author = compute_author_id(profile.ed25519_key, profile.mldsa65_key)
            self._put(MemberRecord(author, "member"))

    # --- looking --------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """A number that is another one whenever the roll is."""
        return self._changes

    @property
    def members(self) -> Mapping[bytes, None]:
        """Who has a vote where every member has one; a view that follows the roll."""
        return MappingProxyType(self._members)

    @property
    def gone(self) -> Mapping[bytes, MemberRecord]:
        """Who is out for good, as it happened; a view that follows the roll."""
        return MappingProxyType(self._gone)

    @property
    def newcomers(self) -> Mapping[bytes, int]:
        """Who is on probation, and the commit time at which that ends."""
        return MappingProxyType(self._newcomers)

    @property
    def revoked(self) -> tuple[RevokedInvitation, ...]:
        """Invitations that were taken back, as it happened."""
        return tuple(self._revoked.values())

    @property
    def ignored_count(self) -> int:
        """Words on membership that had no effect."""
        return self._ignored

    def list_records(self) -> tuple[MemberRecord, ...]:
        """Founders, then everybody as commits put their profiles out."""
        return tuple(self._records.values())

    def get(self, author: bytes) -> MemberRecord | None:
        """An author's record; None for who has not come into the order."""
        return self._records.get(author)

    def is_gone(self, author: bytes) -> bool:
        """Whether an author is out for good."""
        return author in self._gone

    def count_uses(self, inviter: bytes, bearer_key: bytes) -> int:
        """How many authors were let in with an invitation."""
        return self._uses.get((inviter, bearer_key), 0)

    def find_refusal(self, invitation: Invitation, time_ms: int) -> str:
        """Why nobody comes in with an invitation any more; empty where somebody may."""
        name = (invitation.inviter, invitation.bearer_key)
        revoked = self._revoked.get(name)
        if revoked is not None:
            return f"its invitation was taken back at commit {revoked.since}"
        if invitation.inviter in self._gone:
            return "who invited it is no member any more"
        if self._uses.get(name, 0) >= invitation.uses:
            return "its invitation is used up"
        if 0 < invitation.expires_ms <= time_ms:
            return "its invitation has expired"
        return ""

    # --- the state machine ----------------------------------------------------------------------

    def set_committee(self, authors: Iterable[bytes]) -> None:
        """An epoch begins: who has a seat now."""
        self._seats = dict.fromkeys(authors)

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit: its lane-0 vertices, in order. Total: it never raises.

        First whose time has come, then profiles, then words on membership.
        """
        self._advance(commit)
        said = [signed for signed in vertices if signed.vertex.lane == LANE_SPEECH]
        for signed in said:
            if signed.vertex.kind == Kind.PROFILE:
                self._take_profile(commit, signed.vertex)
        for signed in said:
            if signed.vertex.kind == Kind.MEMBERSHIP:
                self._take_word(commit, signed)

    def admit(self, commit: Commit, author: bytes, invitation: Invitation) -> None:
        """Let in who has proved an invitation otherwise than by a profile that was put out."""
        if author not in self._records:
            self._take_invitation(commit, author, invitation)

    def expel(self, commit: Commit, author: bytes, decision: bytes, reason: str) -> None:
        """A decision ends an author's membership."""
        self._end(commit, author, "expelled", decision, reason)

    def check_expulsion(self, author: bytes) -> None:
        """Raises `InvalidDecision` for who cannot be expelled."""
        if author not in self._records or author in self._gone:
            raise InvalidDecision(f"{author.hex()[:16]} is no member")
        if not self._leaves_a_seat(author):
            raise InvalidDecision("nobody would have a seat in the committee any more")

    def root(self) -> bytes:
        """A digest of the whole state."""
        return compute_digest(ROOT_DOMAIN, self.snapshot())

    def snapshot(self) -> bytes:
        """The whole state but for the committee, which the epoch gives."""
        return encode(
            _Snapshot(
                tuple(self._records.values()),
                tuple(self._revoked.values()),
                self._window_ms,
                self._window_count,
                self._ignored,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Take up a snapshot; `set_committee` says which epoch it is of.

        Raises `MalformedMessage` or `MessageTooLarge`, and then nothing has changed.
        """
        state = _decoder.decode(snapshot)
        tables: tuple[dict[Any, Any], ...] = (
            self._records,
            self._members,
            self._newcomers,
            self._waiting,
            self._gone,
            self._uses,
            self._revoked_counts,
        )
        for table in tables:
            table.clear()  # others look at them
        for record in state.records:
            self._put(record)
        self._revoked = {(item.inviter, item.bearer_key): item for item in state.revoked}
        for item in state.revoked:
            self._count_revoked(item.inviter)
        self._window_ms, self._window_count = state.window_ms, state.window_count
        self._ignored = state.ignored
        self._changes += 1

    def next_deadline(self) -> int | None:
        """The commit time at which those who wait have their turn; None where nobody waits."""
        return self._window_ms + HOUR_MS if self._waiting else None

    # --- records --------------------------------------------------------------------------------

    def _put(self, record: MemberRecord) -> None:
        """Write a record, in the place of the author's last one."""
        author = record.author
        for table in (self._members, self._newcomers, self._waiting):
            table.pop(author, None)
        if author not in self._records and record.bearer_key and record.standing != "refused":
            name = (record.inviter, record.bearer_key)
            self._uses[name] = self._uses.get(name, 0) + 1
        self._records[author] = record
        match record.standing:
            case "member":
                self._members[author] = None
            case "newcomer":
                self._newcomers[author] = record.until_ms
            case "waiting":
                self._waiting[author] = None
            case _:
                self._gone[author] = record
        self._changes += 1

    def _end(
        self, commit: Commit, author: bytes, standing: Standing, cause: bytes, reason: str
    ) -> None:
        record = self._records.get(author, MemberRecord(author, standing))
        self._put(
            msgspec.structs.replace(
                record,
                standing=standing,
                since=commit.index,
                until_ms=0,
                cause=cause,
                reason=reason[:REASON_CHARACTERS_MAX],
            )
        )

    def _leaves_a_seat(self, author: bytes) -> bool:
        """Whether somebody who is no member any more is not the last of the committee."""
        return any(seat != author and seat not in self._gone for seat in self._seats)

    # --- who comes ------------------------------------------------------------------------------

    def _take_profile(self, commit: Commit, vertex: Vertex) -> None:
        if vertex.author in self._records:
            return  # it has only changed what it says of itself
        try:
            invitation = self._read_invitation(vertex)
        except InvalidMessage:
            return  # a later profile, and one that proves nothing
        if invitation is not None:
            self._take_invitation(commit, vertex.author, invitation)
        elif self._is_open:
            self._take_stranger(commit, vertex.author)

    def _read_invitation(self, vertex: Vertex) -> Invitation | None:
        """What a profile was let in with. Raises `InvalidMessage`.

        Intake has checked that of a first profile. A later one is not checked there, so it proves
        by itself what it carries.
        """
        encoded = PROFILE_DECODER.decode(vertex.body).invitation
        if not encoded:
            return None
        if is_first_profile(vertex):
            return INVITATION_DECODER.decode(SIGNED_INVITATION_DECODER.decode(encoded).invitation)
        return read_proven(self._suite, self._network, vertex.author, vertex.body)

    def _take_invitation(self, commit: Commit, author: bytes, invitation: Invitation) -> None:
        inviter = invitation.inviter
        if inviter not in self._members and inviter not in self._gone:
            return  # anybody can sign an invitation; a member's counts
        refusal = self.find_refusal(invitation, commit.time_ms)
        self._put(
            MemberRecord(
                author,
                "refused" if refusal else "member",
                commit.index,
                inviter,
                invitation.bearer_key,
                reason=refusal,
            )
        )

    def _take_stranger(self, commit: Commit, author: bytes) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._put(MemberRecord(author, "waiting", commit.index))
            self._advance(commit)

    def _advance(self, commit: Commit) -> None:
        """End probations that are over, and let in whose turn it is."""
        for author, until_ms in list(self._newcomers.items()):
            if until_ms > commit.time_ms:
                break
            self._put(MemberRecord(author, "member", commit.index))
        if not self._waiting:
            return
        if commit.time_ms >= self._window_ms + HOUR_MS:
            self._window_ms, self._window_count = commit.time_ms, 0
        limits = self._limits
        for author in list(self._waiting):
            if 0 < limits.joins_per_hour <= self._window_count:
                break
            self._window_count += 1
            until_ms = commit.time_ms + limits.probation_hours * HOUR_MS
            standing: Standing = "newcomer" if limits.probation_hours else "member"
            self._put(MemberRecord(author, standing, commit.index, until_ms=until_ms))

    # --- what is said ---------------------------------------------------------------------------

    def _take_word(self, commit: Commit, signed: SignedVertex) -> None:
        try:
            self._follow(commit, signed)
        except (InvalidMessage, InvalidDecision):
            self._ignored += 1

    def _follow(self, commit: Commit, signed: SignedVertex) -> None:
        author = signed.vertex.author
        body = MEMBERSHIP_DECODER.decode(signed.vertex.body)
        if author in self._gone:
            raise InvalidDecision("its author is no member any more")
        if isinstance(body, IdentityRevocation):
            self._revoke_identity(commit, signed, body)
        elif author not in self._members:
            raise InvalidDecision("only a member speaks for others")
        elif isinstance(body, InvitationRevocation):
            self._revoke_invitation(commit, author, body.bearer_key)
        else:
            self._vouch(commit, author, body.newcomer)

    def _revoke_identity(
        self, commit: Commit, signed: SignedVertex, body: IdentityRevocation
    ) -> None:
        author = signed.vertex.author
        if author in self._seats and not self._leaves_a_seat(author):
            raise InvalidDecision("nobody else has a seat in the committee")
        self._end(commit, author, "revoked", signed.id, body.reason)

    def _revoke_invitation(self, commit: Commit, inviter: bytes, bearer_key: bytes) -> None:
        if len(bearer_key) != ID_BYTES or (inviter, bearer_key) in self._revoked:
            raise InvalidDecision("no invitation that could be taken back")
        if self._revoked_counts.get(inviter, 0) >= REVOKED_PER_INVITER_MAX:
            raise InvalidDecision("its author has taken back too many invitations")
        self._revoked[inviter, bearer_key] = RevokedInvitation(inviter, bearer_key, commit.index)
        self._count_revoked(inviter)
        self._changes += 1

    def _count_revoked(self, inviter: bytes) -> None:
        self._revoked_counts[inviter] = self._revoked_counts.get(inviter, 0) + 1

    def _vouch(self, commit: Commit, member: bytes, newcomer: bytes) -> None:
        if newcomer not in self._newcomers and newcomer not in self._waiting:
            raise InvalidDecision("it is not on probation")
        self._put(MemberRecord(newcomer, "member", commit.index, member))
