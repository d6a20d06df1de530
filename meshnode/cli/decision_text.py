"""Decisions and committees in words."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING, Final

from meshnode.cli.formats import (
    format_count,
    format_duration,
    format_id,
    format_name,
    format_time,
)
from meshnode.cli.output import WIDTH_MAX, clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consensus.protocol import ProfileName
    from meshnode.decision_views import CommitteeChangeInfo, DecisionInfo
    from meshnode.views import ConsensusInfo

LIST_COLUMNS: Final = ("id", "state", "*question", "leading", "closes")
_LABEL: Final = 10


def read_now_ms() -> int:
    """The person's clock."""
    return time.time_ns() // 1_000_000


def describe_in_row(decision: DecisionInfo, now_ms: int) -> tuple[str, ...]:
    """A decision as a row of the list."""
    leading = max(decision.options, key=lambda option: option.weight)
    share = f"{clean_line(leading.text, 10)} {leading.weight}/{decision.total}"
    return (
        format_id(decision.id),
        decision.status,
        clean_line(decision.question),
        share if leading.weight else "-",
        _describe_end(decision, now_ms),
    )


def describe_decision(decision: DecisionInfo, now_ms: int) -> list[str]:
    """Everything about a decision, one fact per line."""
    lines = [
        _line("id", decision.id),
        *_wrap("question", decision.question),
        _line("asked by", _name(decision.proposer_name, decision.proposer)),
        _line("state", describe_state(decision, now_ms)),
        _line("wins with", describe_threshold(decision)),
    ]
    if decision.change is not None:
        lines.append(_line("change", describe_change(decision.change)))
    lines += [
        _line("answer" if number == 0 else "", f"{option.weight:>4}  {clean_line(option.text)}")
        for number, option in enumerate(decision.options)
    ]
    for ballot in decision.ballots:
        reason = f": {clean_line(ballot.reason)}" if ballot.reason else ""
        text = f"{clean_line(ballot.option)}, {_name(ballot.author_name, ballot.author)}{reason}"
        lines += _wrap("ballot", text)
    return lines


def describe_state(decision: DecisionInfo, now_ms: int) -> str:
    """Open until when, or how it ended."""
    if decision.status == "open":
        return f"open, {_describe_end(decision, now_ms)} ({format_time(decision.deadline_ms)})"
    parts = [decision.status]
    if decision.winner is not None:
        parts.append(f"with '{clean_line(decision.winner)}'")
    if decision.closed_at is not None:
        parts.append(f"at commit {decision.closed_at}")
    text = " ".join(parts)
    return f"{text}: {clean_line(decision.reason)}" if decision.reason else text


def describe_threshold(decision: DecisionInfo) -> str:
    """What an option needs."""
    if decision.electorate == "members":
        whole = format_count(decision.total, "member") if decision.total else "the members"
        return f"more than {decision.threshold} of {whole}, one vote each"
    whole = f"the validators' stake of {decision.total}" if decision.total else "the stake"
    return f"more than {decision.threshold} of {whole}"


def describe_change(change: CommitteeChangeInfo) -> str:
    """How the committee is to differ."""
    parts = [
        f"{_name(seat.name, seat.author)} {f'stake {seat.stake}' if seat.stake else 'no seat'}"
        for seat in change.seats
    ]
    if change.profile:
        parts.append(f"profile {change.profile}")
    if change.gc_commits:
        parts.append(f"gc_commits {change.gc_commits}")
    return ", ".join(parts)


def describe_committee(order: ConsensusInfo) -> str:
    """Who decides, and what that bears, in one line."""
    from consensus.protocol import make_profile

    stake = sum(validator.stake for validator in order.validators)
    text = f"epoch {order.epoch}, {format_count(len(order.validators), 'validator')}, stake {stake}"
    name = find_profile(order.profile)
    if name is None:
        return text
    profile = make_profile(name, stake)
    bears = "fail" if profile.byzantine else "crash"
    faulty = f"{profile.faulty} may {bears}" if profile.faulty else "none may be away"
    return f"{text}, profile {name}: {profile.thresholds.quorum} decide, {faulty}"


def name_stakes(order: ConsensusInfo) -> dict[str, int]:
    """The stake of each validator, by how people call it."""
    return {
        f"{format_name(one.name, one.author)} ({format_id(one.author)})": one.stake
        for one in order.validators
    }


def describe_risk(stakes: Mapping[str, int], profile: str) -> str:
    """What a committee of these names and stakes does not bear; empty where it bears any one loss.

    A lone validator is no surprise: whoever runs it knows that it must be up.
    """
    from consensus.protocol import make_profile

    name = find_profile(profile)
    if name is None or len(stakes) < 2:
        return ""
    faulty = make_profile(name, sum(stakes.values())).faulty
    vital = [validator for validator, stake in stakes.items() if stake > faulty]
    if not vital:
        return ""
    if len(vital) == len(stakes):
        who = f"all {len(stakes)} validators are up"
    else:
        who = f"{', '.join(vital)} {'is' if len(vital) == 1 else 'are'} up"
    text = f"with profile {name} nothing becomes final unless {who}"
    if len(stakes) == 2:
        return f"{text}; a third validator and profile cft bear the loss of one"
    if len(stakes) == 3 and name != "cft":
        return f"{text}; profile cft bears a crash, where all machines are trusted"
    return f"{text}; more validators of like stake bear the loss of one"


def find_profile(name: str) -> ProfileName | None:
    """A profile by its name, None for one this version does not know."""
    from typing import get_args

    from consensus.protocol import ProfileName

    return next((known for known in get_args(ProfileName) if known == name), None)


def _describe_end(decision: DecisionInfo, now_ms: int) -> str:
    if decision.closed_at is not None:
        return f"commit {decision.closed_at}"
    left_ms = decision.deadline_ms - now_ms
    return f"in {format_duration(left_ms)}" if left_ms > 0 else "now"


def _name(name: str, author: str) -> str:
    return f"{format_name(name, author)} ({format_id(author)})"


def _wrap(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(clean_line(text), WIDTH_MAX - _LABEL) or [""]
    return [_line(label if number == 0 else "", line) for number, line in enumerate(lines)]


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL - 1}} {text}"
