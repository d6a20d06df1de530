"""The question whether a member is to be expelled, as a proposal that validators answer."""

from __future__ import annotations

from typing import Final

from consensus.ballots import get_change_threshold
from consensus.committee import Committee
from consensus.errors import InvalidDecision
from consensus.proposal_rules import YES_NO
from dag.bodies import ExpulsionBody, ProposalBody
from dag.types import COUNTER_MAX, ID_BYTES

REASON_CHARACTERS_MAX: Final = 400
"""It is part of the question, which has 500."""


def check_expulsion(body: ExpulsionBody) -> None:
    """Raises `InvalidDecision` for what cannot be asked, as far as it shows that by itself."""
    if len(body.member) != ID_BYTES:
        raise InvalidDecision(f"a member's author id has {ID_BYTES} bytes")
    if not 1 <= len(body.reason) <= REASON_CHARACTERS_MAX:
        raise InvalidDecision(f"a reason to expel has 1 to {REASON_CHARACTERS_MAX} characters")
    if not 0 <= body.deadline_ms <= COUNTER_MAX:
        raise InvalidDecision("a deadline is a time in milliseconds")


def make_expulsion_proposal(committee: Committee, body: ExpulsionBody) -> ProposalBody:
    """What validators are asked; as much of their stake is needed as to change the committee."""
    num, den = get_change_threshold(committee)
    return ProposalBody(
        question=f"Shall {body.member.hex()[:8]} be expelled? {body.reason}",
        options=YES_NO,
        deadline_ms=body.deadline_ms,
        electorate="stake",
        threshold_num=num,
        threshold_den=den,
    )
