"""What a proposal and a ballot must be to have effect, as far as they show it by themselves.

Whoever publishes one asks here first, and every node asks here again when a commit puts it out.
"""

from __future__ import annotations

from typing import Final

from consensus.errors import InvalidDecision
from dag.bodies import BallotBody, CommitteeChange, ProposalBody
from dag.types import COUNTER_MAX, ID_BYTES

QUESTION_CHARACTERS_MAX: Final = 500
OPTIONS_MIN: Final = 2
OPTIONS_MAX: Final = 16
OPTION_CHARACTERS_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 1_000
THRESHOLD_DEN_MAX: Final = 1_000_000
GC_COMMITS_MAX: Final = 1_000_000
YES: Final = 0
YES_NO: Final = ("yes", "no")
"""The options of a proposal with an action, in this order."""


def check_proposal(body: ProposalBody) -> None:
    """Raises `InvalidDecision` for a question that cannot be put."""
    _check_text("a question", body.question, QUESTION_CHARACTERS_MAX)
    if not OPTIONS_MIN <= len(body.options) <= OPTIONS_MAX:
        raise InvalidDecision(f"a proposal has {OPTIONS_MIN} to {OPTIONS_MAX} options")
    for option in body.options:
        _check_text("an option", option, OPTION_CHARACTERS_MAX)
    if len(dict.fromkeys(body.options)) != len(body.options):
        raise InvalidDecision("the options of a proposal differ")
    if not 0 <= body.deadline_ms <= COUNTER_MAX:
        raise InvalidDecision("a deadline is a time in milliseconds")
    _check_threshold(body)
    if body.action is not None:
        _check_action(body, body.action)


def _check_text(what: str, text: str, characters_max: int) -> None:
    if not 1 <= len(text) <= characters_max:
        raise InvalidDecision(f"{what} has 1 to {characters_max} characters")


def _check_threshold(body: ProposalBody) -> None:
    num, den = body.threshold_num, body.threshold_den
    if not 1 <= den <= THRESHOLD_DEN_MAX or not 0 <= num < den:
        raise InvalidDecision("a threshold is a fraction below 1")
    if 2 * num < den:
        # Below a half two options could win at once.
        raise InvalidDecision("a threshold is at least 1/2")


def _check_action(body: ProposalBody, change: CommitteeChange) -> None:
    if body.options != YES_NO:
        raise InvalidDecision("a proposal with an action is answered by yes or no, in this order")
    if body.electorate != "stake":
        raise InvalidDecision("the committee is changed by stake")
    if not 0 <= change.gc_commits <= GC_COMMITS_MAX:
        raise InvalidDecision(f"gc_commits is 1 to {GC_COMMITS_MAX}, or 0 for no change")
    for item in change.stakes:
        if len(item.author) != ID_BYTES:
            raise InvalidDecision(f"a validator's author id has {ID_BYTES} bytes")
        if not 0 <= item.stake <= COUNTER_MAX:
            raise InvalidDecision("a stake is not negative")


def check_ballot(body: BallotBody) -> None:
    """Raises `InvalidDecision` for a ballot that no proposal can count."""
    if len(body.proposal) != ID_BYTES:
        raise InvalidDecision(f"a proposal's id has {ID_BYTES} bytes")
    if not 0 <= body.option < OPTIONS_MAX:
        raise InvalidDecision(f"an option is a position below {OPTIONS_MAX}")
    if len(body.reason) > REASON_CHARACTERS_MAX:
        raise InvalidDecision(f"a reason has at most {REASON_CHARACTERS_MAX} characters")
