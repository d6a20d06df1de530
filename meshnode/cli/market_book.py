"""`meshnode market book`: the order book as a ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from meshnode.cli.book_text import draw_book
from meshnode.cli.exits import OK
from meshnode.cli.market_options import MaybeModelArgument, choose_model
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import make_console, print_json
from meshnode.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from meshnode.cli.book_text import Rung

DEPTH = 10

DepthOption = Annotated[
    int,
    Parameter(
        name="--depth",
        help="So many prices of each side.",
        validator=validators.Number(gte=1, lte=100),
    ),
]


async def book(
    model: MaybeModelArgument = None,
    *,
    depth: DepthOption = DEPTH,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show who bids and offers how much at which price."""
    async with connect(home) as node:
        found = await node.market_book(await choose_model(node, model), depth=depth)
    if json:
        print_json(found.to_json())
    else:
        make_console().print(colour(draw_book(found)), soft_wrap=True)
    return OK


def colour(rungs: Sequence[Rung]) -> Text:
    """A drawing as text in colours; a console leaves them out where nobody sees them."""
    from rich.text import Text

    return Text("\n").join(Text(rung.text, style=rung.style) for rung in rungs)
