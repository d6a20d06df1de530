"""`meshnode consensus`: the order that the mesh agrees on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.cli.decision_text import describe_committee
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_duration, format_id, format_name
from meshnode.cli.options import HomeOption, JsonOption, WatchOption
from meshnode.cli.output import clean_line, print_json, print_json_line, print_table, say
from meshnode.cli.watching import show_or_watch
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.views import ConsensusInfo, ValidatorInfo

_NAMED_MAX = 4
COLUMNS = ("validator", "id", ">stake", ">last round", "state")
STANDINGS = {
    "follower": "this node follows the order and makes no blocks",
    "recovering": "this node asks the others for its own last block before it makes another",
    "no_quorum": "too few validators are connected for this node to make blocks",
    "active": "this node makes blocks",
    "stopped": "this node makes no blocks any more: its keys have signed elsewhere",
}


async def status(
    *, home: HomeOption = None, json: JsonOption = False, watch: WatchOption = False
) -> int:
    """Show where the order stands."""

    async def show() -> int:
        async with connect(home) as node:
            found = (await node.status()).consensus
        if found is None:
            say("the running node is of a version that agrees on no order")
            return FAILED
        if json:
            (print_json_line if watch else print_json)(found.to_json())
        else:
            for line in describe_consensus(found):
                say(line)
            print_table(COLUMNS, [describe_validator(each) for each in found.validators])
        return FAILED if found.halted else OK

    return await show_or_watch(show, watch=watch)


def describe_consensus(found: ConsensusInfo) -> list[str]:
    """Where the order stands, who decides and what is missing, one fact per line."""
    last = "" if found.idle_ms is None else f", {format_duration(found.idle_ms)} ago"
    lines = [
        f"{describe_progress(found)} ({format_id(found.commit_digest)}{last})",
        f"{format_count(found.lag, 'round')} undecided, {describe_lag(found)}",
        *describe_history(found),
        describe_committee(found),
        describe_silent(found),
        STANDINGS.get(found.standing, clean_line(found.standing)),
    ]
    if found.halted:
        lines.append(f"halted: {clean_line(found.halted)}")
    if found.conflicts:
        lines.append(
            f"{found.conflicts} votes contradict earlier ones: somebody lies, or is broken"
        )
    return lines


def describe_progress(found: ConsensusInfo) -> str:
    """How far the order is."""
    return f"commit {found.commit_index}, round {found.round}"


def describe_lag(found: ConsensusInfo) -> str:
    """What is still to be put in order, and what this node has yet to hear."""
    waiting = f"{format_count(found.waiting, 'vertex', 'vertices')} not final yet"
    return f"{waiting}, about {found.behind} rounds behind" if found.behind else waiting


def describe_history(found: ConsensusInfo) -> list[str]:
    """What a quorum stands for, and what is not held for that reason."""
    if not found.certified_commit:
        return []
    held = "all history is held"
    if found.pruned_lamport:
        held = f"history up to lamport {found.pruned_lamport} is not held"
    return [f"state of commit {found.certified_commit} certified; {held}"]


def describe_seats(found: ConsensusInfo) -> str:
    """Who decides, in few words."""
    parts = [format_count(len(found.validators), "validator")]
    if found.quorum is not None:
        stake = sum(validator.stake for validator in found.validators)
        parts.append(f"{found.quorum} of stake {stake} decide")
    if found.profile:
        parts.append(found.profile)
    return f"{', '.join(parts)}, epoch {found.epoch}"


def describe_silent(found: ConsensusInfo) -> str:
    """Who is missed. Without a quorum nobody goes on, and only connections tell who is there."""
    stands_still = found.standing == "no_quorum"
    names = [
        format_name(validator.name, validator.author, 16)
        for validator in found.validators
        if validator.silent or (stands_still and not validator.connected)
    ]
    if not names:
        return "nobody silent"
    shown, more = names[:_NAMED_MAX], len(names) - _NAMED_MAX
    return f"silent: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"


def describe_validator(validator: ValidatorInfo) -> tuple[str, ...]:
    """A validator as a row of the table."""
    return (
        format_name(validator.name, validator.author, 20),
        format_id(validator.author),
        str(validator.stake),
        str(validator.last_round) if validator.last_round else "-",
        _describe_state(validator),
    )


def _describe_state(validator: ValidatorInfo) -> str:
    if validator.silent:
        return "silent"
    return "ok" if validator.connected else "no link"
