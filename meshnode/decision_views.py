"""What is shown of decisions: proposals, ballots, and changes of the committee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from meshnode.views import View

DECIDE_IN_MS: Final = 24 * 3_600_000
"""How long a question is open unless told otherwise."""
CHANGE_IN_MS: Final = 7 * 24 * 3_600_000
"""As `DECIDE_IN_MS`, for a change of the committee."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionInfo(View):
    """One of the answers to choose from."""

    text: str
    weight: int
    """Of the ballots for it: stake, or members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BallotInfo(View):
    """What somebody answered last."""

    author: str
    author_name: str
    option: str
    reason: str
    vertex: str
    """The vertex that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatChange(View):
    """The stake a member is to have in the committee; 0 for none."""

    author: str
    name: str
    stake: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitteeChangeInfo(View):
    """How the next committee is to differ."""

    seats: tuple[SeatChange, ...] = ()
    profile: str | None = None
    gc_commits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInfo(View):
    """A question put to the mesh, and where it stands."""

    schema: ClassVar[str] = "meshnode.decision/1"

    id: str
    proposer: str
    proposer_name: str
    question: str
    options: tuple[OptionInfo, ...]
    electorate: str
    """'stake' where validators answer by their stake, 'members' where every member has one vote."""
    total: int
    """What the whole electorate weighs."""
    threshold: str
    """An option wins with strictly more than this part of the total: '2/3'."""
    deadline_ms: int
    status: str
    """open, passed, failed, expired, invalid or rejected."""
    winner: str | None = None
    reason: str = ""
    """Why it is invalid or was rejected."""
    opened_at: int
    """Index of the commit that put it in order."""
    closed_at: int | None = None
    """Index of the commit that closed it."""
    ballots: tuple[BallotInfo, ...] = ()
    """In the order of commits."""
    change: CommitteeChangeInfo | None = None
    """What happens to the committee when it passes."""
