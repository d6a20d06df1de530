"""`meshnode consensus`: the order that the mesh agrees on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_id, format_name
from meshnode.cli.options import HomeOption, JsonOption, WatchOption
from meshnode.cli.output import clean_line, print_json, print_json_line, print_table, say
from meshnode.cli.watching import show_or_watch
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.views import ConsensusInfo, ValidatorInfo

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
    """Where the order stands, in a few lines."""
    order = (
        f"{format_count(found.commit_index, 'commit')} ({format_id(found.commit_digest)}), "
        f"round {found.round}, {format_count(found.lag, 'round')} undecided, "
        f"{format_count(found.waiting, 'vertex', 'vertices')} not final yet"
    )
    lines = [order, STANDINGS.get(found.standing, clean_line(found.standing))]
    if found.halted:
        lines.append(f"halted: {clean_line(found.halted)}")
    return lines


def describe_validator(validator: ValidatorInfo) -> tuple[str, ...]:
    """A validator as a row of the table."""
    return (
        format_name(validator.name, validator.author, 20),
        format_id(validator.author),
        str(validator.stake),
        str(validator.last_round) if validator.last_round else "-",
        "silent" if validator.silent else "ok",
    )
