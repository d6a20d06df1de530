"""Joining as a validator: what a committed profile proposes by itself.

Intake has checked the invitation's signature and the bearer's proof before the profile entered. So
the inviter's word stands, and where it is a validator its word is its vote: the mesh is asked to
give the joiner a seat. With one founder this passes at once.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.committee import Committee
from consensus.proposal_rules import YES_NO
from dag.bodies import (
    INVITATION_DECODER,
    PROFILE_DECODER,
    SIGNED_INVITATION_DECODER,
    CommitteeChange,
    Invitation,
    ProposalBody,
    StakeChange,
)
from dag.errors import InvalidMessage
from dag.vertex import Vertex

VOTING_PERIOD_MS: Final = 7 * 24 * 3_600_000
INVITATIONS_MAX: Final = 1_000
"""Invitations of validators whose uses are counted at once."""


class Use(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """How often an invitation has let somebody in."""

    inviter: bytes
    bearer_key: bytes
    expires_ms: int
    count: int = 0


class InvitationUses(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Uses of validator invitations, counted in commit order."""

    uses: list[Use] = msgspec.field(default_factory=list)

    def take(self, invitation: Invitation, time_ms: int) -> bool:
        """Count one more use; False where none is left, or too many invitations are about."""
        self.uses = [use for use in self.uses if not _has_expired(use.expires_ms, time_ms)]
        use = next((use for use in self.uses if _matches(use, invitation)), None)
        if use is None:
            if len(self.uses) >= INVITATIONS_MAX:
                return False
            use = Use(invitation.inviter, invitation.bearer_key, invitation.expires_ms)
            self.uses.append(use)
        if use.count >= invitation.uses:
            return False
        use.count += 1
        return True


class Admission(msgspec.Struct, frozen=True):
    """Somebody who joins as a validator, and by whose word."""

    author: bytes
    name: str
    invitation: Invitation

    @property
    def inviter(self) -> bytes:
        """The validator that signed the invitation."""
        return self.invitation.inviter

    def make_proposal(self, committee: Committee, time_ms: int) -> ProposalBody:
        """To give the joiner a seat with the smallest stake there is."""
        stake = min(validator.stake for validator in committee.validators)
        name = f"'{self.name}' ({self.author.hex()[:16]})" if self.name else self.author.hex()[:16]
        return ProposalBody(
            question=f"Shall {name}, who was invited, become a validator with stake {stake}?",
            options=YES_NO,
            deadline_ms=time_ms + VOTING_PERIOD_MS,
            electorate="stake",
            threshold_num=2,
            threshold_den=3,
            action=CommitteeChange(stakes=(StakeChange(self.author, stake),)),
        )


def find_admission(vertex: Vertex, committee: Committee, time_ms: int) -> Admission | None:
    """What a committed first profile proposes; None for a guest, a founder, or an old ticket."""
    try:
        profile = PROFILE_DECODER.decode(vertex.body)
        if not profile.invitation:
            return None
        signed = SIGNED_INVITATION_DECODER.decode(profile.invitation)
        invitation = INVITATION_DECODER.decode(signed.invitation)
    except InvalidMessage:
        return None
    by_validator = committee.get_index(invitation.inviter) is not None
    is_guest = committee.get_index(vertex.author) is None
    in_time = not _has_expired(invitation.expires_ms, time_ms)
    if invitation.role != "validator" or not (by_validator and is_guest and in_time):
        return None
    return Admission(vertex.author, profile.name, invitation)


def _has_expired(expires_ms: int, time_ms: int) -> bool:
    return 0 < expires_ms <= time_ms


def _matches(use: Use, invitation: Invitation) -> bool:
    return (use.inviter, use.bearer_key) == (invitation.inviter, invitation.bearer_key)
