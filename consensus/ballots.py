"""A proposal that is open: the ballots on it, and what they amount to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from consensus.committee import Committee
from dag.bodies import ProposalBody

Status = Literal["open", "passed", "failed", "expired", "invalid", "rejected"]
"""'passed': an option won. 'failed': "no" won over an action. 'expired': no option won in time.
'invalid': its action makes no committee. 'rejected': it could not be opened."""

NO_WINNER: Final = -1
REASONS_BYTES_MAX: Final = 32_768
"""Reasons remembered of one proposal; any further one stands in its vertex only."""


class Ballot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last word of an author on a proposal."""

    author: bytes
    option: int
    reason: str
    vertex: bytes
    """Id of the vertex that says so; for who invited a validator, that of the joiner's request."""


class ProposalRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A proposal as everybody sees it after a commit."""

    id: bytes
    """Id of the vertex that put it."""
    proposer: bytes
    body: ProposalBody
    opened_at: int
    """Index of the commit that put it in order."""
    status: Status = "open"
    winner: int = NO_WINNER
    """Position of the option that won, -1 for none."""
    reason: str = ""
    """Why it was rejected, or is invalid."""
    closed_at: int = 0
    """Index of the commit that closed it, 0 while it is open."""
    weights: tuple[int, ...] = ()
    """What each option weighs: now, or when it closed."""
    total: int = 0
    """What the whole electorate weighs."""
    ballots: tuple[Ballot, ...] = ()
    """In the order of commits."""
    expels: bytes = b""
    """The member that is expelled when it passes; empty for any other question."""
    reason_to_expel: str = ""

    @property
    def is_change(self) -> bool:
        """Whether its yes changes who takes part, which is never decided by less than others are."""
        return self.body.action is not None or bool(self.expels)


CHANGE_THRESHOLD: Final = (2, 3)
CRASH_CHANGE_THRESHOLD: Final = (1, 2)


def get_change_threshold(committee: Committee) -> tuple[int, int]:
    """What a change of this committee needs more than, as a part of its stake.

    Two thirds, so that liars neither make nor stop one; where nobody is expected to lie a half, or
    the last crash that a small committee bears could never be mended.
    """
    return CHANGE_THRESHOLD if committee.profile.name != "cft" else CRASH_CHANGE_THRESHOLD


class Electorate:
    """Who may vote now: members, and among them the committee with its stake."""

    def __init__(self, committee: Committee, members: Mapping[bytes, object]) -> None:
        """`members` follows the roll of members."""
        self.committee = committee
        self._members = members

    def compute_total(self, body: ProposalBody) -> int:
        """What all ballots together could weigh."""
        return self.committee.total_stake if body.electorate == "stake" else len(self._members)

    def has_won(self, record: ProposalRecord, weight: int) -> bool:
        """Whether an option of this weight has more than it needs."""
        body = record.body
        total = self.compute_total(body)
        thresholds = [(body.threshold_num, body.threshold_den)]
        if record.is_change:
            thresholds.append(get_change_threshold(self.committee))
        return all(weight * den > total * num for num, den in thresholds)

    def weigh(self, body: ProposalBody, author: bytes) -> int:
        """What an author's ballot weighs, 0 for who has no vote."""
        if body.electorate == "members":
            return int(author in self._members)
        index = self.committee.get_index(author)
        return 0 if index is None else self.committee.get_stake(index)


class OpenProposal:
    """One proposal while ballots count."""

    def __init__(self, record: ProposalRecord) -> None:
        self._record = record
        self._ballots = {ballot.author: ballot for ballot in record.ballots}
        self._reasons_bytes = sum(len(ballot.reason.encode()) for ballot in record.ballots)

    @property
    def id(self) -> bytes:
        """Its name."""
        return self._record.id

    @property
    def proposer(self) -> bytes:
        """Who put it."""
        return self._record.proposer

    @property
    def record(self) -> ProposalRecord:
        """The proposal as it was put, uncounted."""
        return self._record

    @property
    def body(self) -> ProposalBody:
        """What was put."""
        return self._record.body

    def has_answer(self, author: bytes) -> bool:
        """Whether a ballot of this author is held."""
        return author in self._ballots

    def cast(self, ballot: Ballot) -> None:
        """Count a ballot in the place of the author's last one."""
        before = self._ballots.pop(ballot.author, None)
        if before is not None:
            self._reasons_bytes -= len(before.reason.encode())
        size_bytes = len(ballot.reason.encode())
        if self._reasons_bytes + size_bytes > REASONS_BYTES_MAX:
            ballot, size_bytes = msgspec.structs.replace(ballot, reason=""), 0
        self._ballots[ballot.author] = ballot
        self._reasons_bytes += size_bytes

    def freeze(self) -> ProposalRecord:
        """What has been put and said, uncounted."""
        return msgspec.structs.replace(self._record, ballots=tuple(self._ballots.values()))

    def count(self, electorate: Electorate) -> ProposalRecord:
        """What the ballots weigh now, and the option that has won, if any."""
        record, body = self._record, self._record.body
        weights = [0] * len(body.options)
        for ballot in self._ballots.values():
            weights[ballot.option] += electorate.weigh(body, ballot.author)
        won = [
            option for option, weight in enumerate(weights) if electorate.has_won(record, weight)
        ]
        return msgspec.structs.replace(
            self.freeze(),
            weights=tuple(weights),
            total=electorate.compute_total(body),
            winner=won[0] if won else NO_WINNER,
        )
