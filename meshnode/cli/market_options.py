"""Options and small questions that the commands of the market share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from meshnode.errors import CommandRejected
from meshnode.market_views import LISTED, LISTED_MAX

if TYPE_CHECKING:
    from meshnode.market_port import MarketPort

ModelArgument = Annotated[
    str, Parameter(help="The model, as `meshnode market instruments` lists it.")
]
ModelOption = Annotated[str | None, Parameter(name="--model", help="Only of this model.")]
MaybeModelArgument = Annotated[
    str | None, Parameter(help="The model [default: the only one that is listed].")
]
AccountArgument = Annotated[
    str | None,
    Parameter(help="A member's name, an account's id or its beginning [default: this node]."),
]
LimitOption = Annotated[
    int,
    Parameter(
        name="--limit",
        help="At most so many.",
        validator=validators.Number(gte=1, lte=LISTED_MAX),
    ),
]
WaitOption = Annotated[
    int,
    Parameter(
        name="--timeout",
        help="Seconds to wait for its place in the order; 0 to leave it to the mesh.",
        validator=validators.Number(gte=0, lte=60),
    ),
]
WAIT_S = 30
LIMIT = LISTED
_NAMED = 4


async def choose_model(node: MarketPort, model: str | None) -> str:
    """The model that was named, or the only one there is. Raises `CommandRejected`."""
    if model is not None:
        return model
    found = await node.market_instruments()
    if not found:
        raise CommandRejected(
            "nothing can be traded yet", hint="validators list models: `meshnode market list MODEL`"
        )
    if len(found) > 1:
        names = ", ".join(each.variant for each in found[:_NAMED])
        more = ", ..." if len(found) > _NAMED else ""
        raise CommandRejected(f"there are {len(found)} models", hint=f"name one: {names}{more}")
    return found[0].model
