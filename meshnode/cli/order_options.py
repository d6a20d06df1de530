"""Options of both sides of the book, and what becomes of an order in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, validators

from meshnode.cli.formats import format_id
from meshnode.cli.market_options import WAIT_S, WaitOption
from meshnode.cli.market_text import describe_trade_line, print_outcome
from meshnode.cli.money import format_amount, format_tokens
from meshnode.cli.options import HomeOption, JsonOption

if TYPE_CHECKING:
    from meshnode.market_views import OutcomeInfo

HOUR_MS: Final = 3_600_000
ORDER_HOURS: Final = 24

PriceOption = Annotated[
    str | None,
    Parameter(name="--price", help="Ruv per 1,000 tokens, exactly: 0.002, or 2000uruv."),
]
TokensOption = Annotated[
    int | None, Parameter(name="--tokens", help="Billed tokens, in thousands.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OrderOptions:
    """Options of every order."""

    context: Annotated[
        int | None,
        Parameter(help="Tokens of context; tiers at 8192, 32768, 65536, 131072."),
    ] = None
    sla: Annotated[
        str | None,
        Parameter(help="Guaranteed availability in percent; tiers at 95, 99, 99.9."),
    ] = None
    first_token_s: Annotated[
        str | None, Parameter(help="Seconds to the first token; tiers at 2 and 10.")
    ] = None
    region: Annotated[
        bool, Parameter(negative="", show_default=False, help="In an agreed region.")
    ] = False
    tee: Annotated[
        bool,
        Parameter(negative="", show_default=False, help="In a trusted execution environment."),
    ] = False
    lasts_h: Annotated[
        int,
        Parameter(
            help="Hours until it is taken back.",
            validator=validators.Number(gte=1, lte=ORDER_HOURS),
        ),
    ] = ORDER_HOURS
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Only show what it amounts to.")
    ] = False
    timeout_s: WaitOption = WAIT_S
    home: HomeOption = None
    json: JsonOption = False

    @property
    def wait_ms(self) -> int:
        """How long to wait for the order's place."""
        return self.timeout_s * 1_000


DEFAULTS: Final = OrderOptions()
UNUSED: Final = (
    "nothing is asked under it: this node closes it within seconds, and the money",
    "comes back; to buy an answer: meshnode ask QUESTION --max-price PRICE",
)
"""What becomes of capacity that was bought by a bid alone."""


def choose_life(hours: int) -> int | None:
    """None for as long as orders may live: a clock ahead of the mesh's must not break that."""
    return None if hours == ORDER_HOURS else hours * HOUR_MS


def keep_given(**values: int) -> dict[str, int]:
    """Those that are not nothing."""
    return {name: value for name, value in values.items() if value}


def report_order(
    outcome: OutcomeInfo, side: str, lots: int, *, json: bool, waits: bool = True
) -> int:
    """What became of an order, its trades included."""
    traded = sum(trade.lots for trade in outcome.trades)
    parts = [f"{side} {format_id(outcome.id)}:"]
    if traded:
        verb = "bought" if side == "bid" else "sold"
        worth = sum(trade.lots * trade.price_uruv for trade in outcome.trades)
        parts.append(
            f"{format_tokens(traded)} of {format_tokens(lots)} tokens {verb} "
            f"for {format_amount(worth)}"
        )
    left = lots - traded
    if left:
        where = "wait in the book" if waits else "were not to be had"
        parts.append(f"{'and ' if traded else ''}{format_tokens(left)} tokens {where}")
    lines = [" ".join(parts), *(f"  {describe_trade_line(trade)}" for trade in outcome.trades)]
    if traded:
        contract = format_id(outcome.trades[0].contract)
        if side == "bid":
            lines += UNUSED
        lines.append(f"follow with: meshnode market contracts {contract}")
    return print_outcome(outcome, "\n".join(lines), json=json)
