"""Decisions, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.decision_views import (
    BallotInfo,
    CommitteeChangeInfo,
    DecisionInfo,
    OptionInfo,
    SeatChange,
)
from meshnode.node.presenting import name_author

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consensus.ballots import ProposalRecord
    from dag.bodies import CommitteeChange


def show_decision(record: ProposalRecord, names: Mapping[bytes, str]) -> DecisionInfo:
    """A proposal and where it stands."""
    body = record.body
    # One that could not be opened was never counted.
    weights = record.weights or (0,) * len(body.options)
    return DecisionInfo(
        id=record.id.hex(),
        proposer=record.proposer.hex(),
        proposer_name=name_author(record.proposer, names),
        question=body.question,
        options=tuple(
            OptionInfo(text=text, weight=weight)
            for text, weight in zip(body.options, weights, strict=True)
        ),
        electorate=body.electorate,
        total=record.total,
        threshold=f"{body.threshold_num}/{body.threshold_den}",
        deadline_ms=body.deadline_ms,
        status=record.status,
        winner=body.options[record.winner] if record.winner >= 0 else None,
        reason=record.reason,
        opened_at=record.opened_at,
        closed_at=record.closed_at or None,
        ballots=tuple(
            BallotInfo(
                author=ballot.author.hex(),
                author_name=name_author(ballot.author, names),
                option=body.options[ballot.option],
                reason=ballot.reason,
                vertex=ballot.vertex.hex(),
            )
            for ballot in record.ballots
        ),
        change=None if body.action is None else show_change(body.action, names),
    )


def show_change(change: CommitteeChange, names: Mapping[bytes, str]) -> CommitteeChangeInfo:
    """How the next committee is to differ."""
    return CommitteeChangeInfo(
        seats=tuple(
            SeatChange(
                author=item.author.hex(), name=name_author(item.author, names), stake=item.stake
            )
            for item in change.stakes
        ),
        profile=change.profile or None,
        gc_commits=change.gc_commits or None,
    )
