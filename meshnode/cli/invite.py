"""`meshnode invite`: the ticket to stdout, words about it to stderr."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import note, print_json, say
from meshnode.client import connect

_HOUR_MS = 3_600_000


async def invite(
    *,
    uses: Annotated[
        int,
        Parameter(help="How many nodes may join.", validator=validators.Number(gte=1, lte=1_000)),
    ] = 1,
    expires_h: Annotated[
        int,
        Parameter(
            help="Hours until it is worthless.", validator=validators.Number(gte=1, lte=8_760)
        ),
    ] = 24,
    role: Annotated[
        Literal["peer", "validator"], Parameter(help="What the newcomer will be.")
    ] = "peer",
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Print a ticket that lets others join."""
    async with connect(home) as node:
        ticket = await node.invite(uses=uses, expires_in_ms=expires_h * _HOUR_MS, role=role)
    if json:
        print_json(
            {
                "schema": "meshnode.invite/1",
                "ticket": ticket,
                "uses": uses,
                "expires_in_ms": expires_h * _HOUR_MS,
                "role": role,
            }
        )
        return OK
    say(ticket)
    note(
        f"good for {format_count(uses, 'node')} and {expires_h} h; treat it like a password. "
        "On the other machine: meshnode join TICKET"
    )
    return OK
