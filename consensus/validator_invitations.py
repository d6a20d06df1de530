"""Joining as a validator: a request that proves by itself who invited whom.

The inviter has signed that the holder of the ticket may become a validator. So its word stands, and
where it is a validator its word is its vote: the mesh is asked to give the joiner a seat. With one
founder this passes at once.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.ballots import get_change_threshold
from consensus.committee import Committee
from consensus.errors import InvalidDecision
from consensus.proposal_rules import YES_NO
from dag.bodies import CommitteeChange, Invitation, ProposalBody, SeatRequest, StakeChange
from dag.genesis import Suite
from dag.identity import verify_admission
from dag.keys import PublicKeys

VOTING_PERIOD_MS: Final = 7 * 24 * 3_600_000
INVITATIONS_MAX: Final = 100
"""Invitations of one inviter whose uses are counted at once."""


class Use(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """How often an invitation has let somebody ask for a seat."""

    inviter: bytes
    bearer_key: bytes
    expires_ms: int
    count: int = 0


class InvitationUses(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Uses of validator invitations, counted in commit order."""

    uses: list[Use] = msgspec.field(default_factory=list)

    def take(self, invitation: Invitation, time_ms: int) -> None:
        """Count one more use. Raises `InvalidDecision` where there is none left."""
        if _has_expired(invitation.expires_ms, time_ms):
            raise InvalidDecision("the invitation has expired")
        self.uses = [use for use in self.uses if not _has_expired(use.expires_ms, time_ms)]
        use = next((use for use in self.uses if _matches(use, invitation)), None)
        if use is None:
            if sum(use.inviter == invitation.inviter for use in self.uses) >= INVITATIONS_MAX:
                raise InvalidDecision("too many invitations of the inviter are about")
            use = Use(invitation.inviter, invitation.bearer_key, invitation.expires_ms)
            self.uses.append(use)
        if use.count >= invitation.uses:
            raise InvalidDecision("the invitation is used up")
        use.count += 1


def read_request(request: SeatRequest, network: bytes, suite: Suite, author: bytes) -> Invitation:
    """The invitation that a request of `author` proves to hold.

    Raises `InvalidDecision` for that of a peer, else `InvalidMessage`.
    """
    keys = PublicKeys(request.ed25519_key, request.mldsa65_key, b"", b"", b"")
    invitation = verify_admission(keys, suite, network, author, request.invitation)
    if invitation.role != "validator":
        raise InvalidDecision("it was invited as a peer")
    return invitation


def make_seat_proposal(committee: Committee, author: bytes, time_ms: int) -> ProposalBody:
    """To give the joiner a seat with the smallest stake there is."""
    stake = min(validator.stake for validator in committee.validators)
    num, den = get_change_threshold(committee)
    return ProposalBody(
        question=f"Shall {author.hex()[:8]}, who was invited, be a validator with stake {stake}?",
        options=YES_NO,
        deadline_ms=time_ms + VOTING_PERIOD_MS,
        electorate="stake",
        threshold_num=num,
        threshold_den=den,
        action=CommitteeChange(stakes=(StakeChange(author, stake),)),
    )


def _has_expired(expires_ms: int, time_ms: int) -> bool:
    return 0 < expires_ms <= time_ms


def _matches(use: Use, invitation: Invitation) -> bool:
    return (use.inviter, use.bearer_key) == (invitation.inviter, invitation.bearer_key)
