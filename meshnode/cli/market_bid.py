"""`meshnode market bid | cancel`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from market.amounts import LOT_TOKENS, ORDER_BOND_URUV
from market.offer_terms import InvalidTerms, Wishes, check_notional, convert_wishes
from meshnode.cli.exits import OK
from meshnode.cli.market_options import WAIT_S, ModelArgument, ModelOption, WaitOption
from meshnode.cli.market_text import print_outcome
from meshnode.cli.money import (
    format_amount,
    format_price,
    read_guarantee,
    read_lots,
    read_percent,
    read_price,
    read_ruv,
    read_seconds,
    to_usage_error,
)
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.order_options import (
    DEFAULTS,
    OrderOptions,
    PriceOption,
    TokensOption,
    choose_life,
    keep_given,
    report_order,
)
from meshnode.cli.output import clean_line, print_json, say
from meshnode.client import connect
from meshnode.errors import ConfigError

OrderType = Literal["gtc", "ioc", "fok", "post_only"]


async def bid(
    model: ModelArgument,
    *,
    tokens: TokensOption = None,
    price: PriceOption = None,
    max_ruv: Annotated[
        str | None,
        Parameter(
            help="Spend at most so much, at any price; what cannot be had is not waited for."
        ),
    ] = None,
    reputation: Annotated[
        str | None, Parameter(help="Least reputation in percent; tiers at 20, 50, 70, 90.")
    ] = None,
    order_type: Annotated[
        OrderType | None,
        Parameter(
            name="--type",
            help="gtc waits in the book; ioc takes what is there; fok takes all or nothing; "
            "post_only never takes. [default: gtc, with --max-ruv ioc]",
        ),
    ] = None,
    options: OrderOptions = DEFAULTS,
) -> int:
    """Bid for capacity; what cannot be had at once waits in the book.

    A bid alone asks nothing: what it buys and nothing is asked under, this node closes within
    seconds, and the money comes back. To buy an answer: `meshnode ask --max-price`.
    """
    if tokens is None or (price is None) == (max_ruv is None):
        raise ConfigError(
            "a bid needs --tokens, and either --price or --max-ruv",
            hint="for example --tokens 50000 --price 0.002",
        )
    lots = read_lots(tokens, "--tokens")
    price_uruv = None if price is None else read_price(price, "--price")
    budget_uruv = 0 if max_ruv is None else read_ruv(max_ruv, "--max-ruv")
    wishes = _read_wishes(options, reputation)
    _check_bid(price_uruv, lots, wishes, options.sla)
    if options.dry_run:
        return _show_bid(model, lots, price_uruv, budget_uruv, json=options.json)
    waits = price is not None and order_type in {None, "gtc", "post_only"}
    async with connect(options.home) as node:
        outcome = await node.market_bid(
            model,
            price_uruv=price_uruv,
            lots=lots,
            **wishes,
            time_in_force=order_type or ("gtc" if price is not None else "ioc"),
            expires_in_ms=choose_life(options.lasts_h) if waits else None,
            budget_uruv=budget_uruv,
            wait_ms=options.wait_ms,
        )
    return report_order(outcome, "bid", lots, json=options.json, waits=waits)


async def cancel(
    order: Annotated[
        str | None, Parameter(help="Its id, or the beginning of it; or say --all.")
    ] = None,
    *,
    all_orders: Annotated[
        bool,
        Parameter(name="--all", negative="", show_default=False, help="All of this node."),
    ] = False,
    model: ModelOption = None,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Take back an order, or all."""
    if (order is None) != all_orders:
        raise ConfigError(
            "name one order, or say --all", hint="`meshnode market orders` lists them"
        )
    if order is not None and model is not None:
        raise ConfigError("--model goes with --all", hint="leave it out")
    async with connect(home) as node:
        outcome = await node.market_cancel(order, model=model, wait_ms=timeout_s * 1_000)
    what = "all orders" if order is None else f"order {clean_line(order, 16)}"
    of = f" for {clean_line(model, 40)}" if model is not None else ""
    return print_outcome(outcome, f"{what}{of} taken back", json=json)


def _read_wishes(options: OrderOptions, reputation: str | None) -> dict[str, Any]:
    """What the bid asks for, in the units of the book. Raises `ConfigError`."""
    sla, first_token = options.sla, options.first_token_s
    return {
        "context_tokens": options.context,
        "sla_bp": None if sla is None else read_guarantee(sla, "--sla"),
        "first_token_ms": (
            None if first_token is None else read_seconds(first_token, "--first-token-s")
        ),
        "reputation_bp": None if reputation is None else read_percent(reputation, "--reputation"),
        "flags": tuple(keep_given(region=options.region, tee=options.tee)),
    }


def _check_bid(price_uruv: int | None, lots: int, wishes: dict[str, Any], sla: str | None) -> None:
    """Raises `ConfigError` for what no book takes, before anything is sent."""
    try:
        if price_uruv is not None:
            check_notional(price_uruv, lots)
        convert_wishes(
            Wishes(
                context_tokens=wishes["context_tokens"],
                sla_percent=sla,
                first_token_ms=wishes["first_token_ms"],
                reputation_bp=wishes["reputation_bp"],
                flags=wishes["flags"],
            )
        )
    except InvalidTerms as error:
        raise to_usage_error(error) from None


def _show_bid(
    model: str, lots: int, price_uruv: int | None, budget_uruv: int, *, json: bool
) -> int:
    cost_uruv = budget_uruv if price_uruv is None else price_uruv * lots
    if json:
        print_json(
            {
                "schema": "meshnode.market-bid-plan/1",
                "model": model,
                "lots": lots,
                "price_uruv": price_uruv,
                "cost_uruv_max": cost_uruv,
                "bond_uruv": ORDER_BOND_URUV,
            }
        )
        return OK
    at = "at any price" if price_uruv is None else f"at most at {format_price(price_uruv)}"
    say(f"bid for {lots * LOT_TOKENS:,} tokens of {clean_line(model, 40)}, {at}")
    say(f"costs at most {format_amount(cost_uruv)}; that much is set aside while it is open,")
    say(f"and a bond of {format_amount(ORDER_BOND_URUV)} that comes back unless it is")
    say("cancelled at once")
    return OK
