"""`meshnode invite`: the ticket to stdout, words about it to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from market.decimals import format_ruv, parse_ruv
from meshnode.cli.decision_text import describe_risk, name_stakes
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import note, print_json, say
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.views import ConsensusInfo

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
        Literal["peer", "validator", "open"],
        Parameter(help="What the newcomer will be; open: whoever wants to, in an open network."),
    ] = "peer",
    grant: Annotated[
        str,
        Parameter(
            help="Ruv for each newcomer out of this node's, such as 5 or 0.25 [default: none].",
            show_default=False,
        ),
    ] = "0",
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Print a ticket that lets others join."""
    grant_uruv = parse_ruv(grant, "the grant")
    async with connect(home) as node:
        ticket = await node.invite(
            uses=uses, expires_in_ms=expires_h * _HOUR_MS, role=role, grant_uruv=grant_uruv
        )
        order = (await node.status()).consensus
    if json:
        print_json(
            {
                "schema": "meshnode.invite/1",
                "ticket": ticket,
                "uses": uses,
                "expires_in_ms": expires_h * _HOUR_MS,
                "role": role,
                "grant_uruv": grant_uruv,
            }
        )
        return OK
    say(ticket)
    if role == "open":
        note("it holds no secret: whoever has it may come. meshnode join TICKET")
        return OK
    for line in describe_ticket(uses, expires_h, grant_uruv):
        note(line)
    if role == "validator" and order is not None:
        for line in describe_candidacy(order, uses):
            note(line)
    return OK


def describe_ticket(uses: int, expires_h: int, grant_uruv: int) -> list[str]:
    """What a ticket is worth, and to whom."""
    worth = f"good for {format_count(uses, 'node')} and {expires_h} h; treat it like a password."
    lines = [f"{worth} On the other machine: meshnode join TICKET"]
    if grant_uruv:
        lines.append(
            f"each is given {format_ruv(grant_uruv)} ruv of this node's free money once its "
            "profile is in order; it must still be there then"
        )
    return lines


def describe_candidacy(order: ConsensusInfo, uses: int) -> list[str]:
    """What happens when somebody joins as a validator."""
    if len(order.validators) == 1:
        lines = ["who joins with it becomes a validator at once, on this node's word alone"]
    else:
        lines = [
            "who joins with it is proposed as a validator, and this node's yes is given;",
            "the others see it in `meshnode validators list` and answer by `meshnode decide vote`",
        ]
    stakes = name_stakes(order)
    smallest = min(stakes.values())
    newcomers = {f"newcomer {number + 1}": smallest for number in range(uses)}
    risk = describe_risk({**stakes, **newcomers}, order.profile)
    return [*lines, f"warning: {risk}"] if risk else lines
