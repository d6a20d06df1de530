"""`meshnode market watch`: depth and price as they change."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, validators

from meshnode.cli.book_text import Rung, draw_book, draw_sparkline
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_time
from meshnode.cli.market_book import DepthOption, colour
from meshnode.cli.market_options import MaybeModelArgument, choose_model
from meshnode.cli.market_text import describe_trade_line, describe_update_entry
from meshnode.cli.money import format_price
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import WIDTH_MAX, clean_line, make_console, print_json_line, say
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.client import RemoteNode
    from meshnode.market_views import MarketUpdate, TradeInfo

DEPTH: Final = 8
_PRICES: Final = 60
"""Trades that the line of prices shows."""
_TRADES: Final = 3
_LINE: Final = WIDTH_MAX - 2


async def watch(
    model: MaybeModelArgument = None,
    *,
    depth: DepthOption = DEPTH,
    limit: Annotated[
        int | None,
        Parameter(
            help="End after so many commits that touch the market.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Follow depth and price live, until Ctrl-C."""
    try:
        async with connect(home) as node:
            if json:
                await _follow_json(node, limit)
            elif make_console().is_terminal:
                await _follow_live(node, await choose_model(node, model), depth, limit)
            else:
                await _follow_lines(node, model, limit)
    except asyncio.CancelledError:
        pass  # the person has seen enough
    return OK


async def _follow_json(node: RemoteNode, limit: int | None) -> None:
    count = 0
    async with aclosing(node.market_watch()) as updates:
        async for update in updates:
            print_json_line(update.to_json())
            count += 1
            if count == limit:
                return


async def _follow_lines(node: RemoteNode, model: str | None, limit: int | None) -> None:
    """What happens, one line each: what a pipe can hold."""
    count = 0
    async with aclosing(node.market_watch()) as updates:
        async for update in updates:
            for text in describe_update(update, model):
                say(clean_line(text, _LINE))
            count += 1
            if count == limit:
                return


async def _follow_live(node: RemoteNode, model: str, depth: int, limit: int | None) -> None:
    """The book, the last trades and the line of prices, drawn anew with each commit."""
    from rich.live import Live

    trades = list(reversed(await node.market_trades(model=model, limit=_PRICES)))
    count = 0
    with Live(console=make_console(), auto_refresh=False, transient=False) as live:
        live.update(colour(await _draw(node, model, depth, trades)), refresh=True)
        async with aclosing(node.market_watch()) as updates:
            async for update in updates:
                trades += [trade for trade in update.trades if _is_of(trade, model)]
                del trades[:-_PRICES]
                live.update(colour(await _draw(node, model, depth, trades)), refresh=True)
                count += 1
                if count == limit:
                    return


async def _draw(node: RemoteNode, model: str, depth: int, trades: list[TradeInfo]) -> list[Rung]:
    book = await node.market_book(model, depth=depth)
    return [*draw_book(book), Rung(""), *draw_prices(trades)]


def draw_prices(trades: list[TradeInfo]) -> list[Rung]:
    """Prices of the last trades, the oldest first, and the newest trades in words."""
    if not trades:
        return [Rung("no trades yet; Ctrl-C ends")]
    prices = [trade.price_uruv for trade in trades]
    low, high = format_price(min(prices)), format_price(max(prices))
    return [
        Rung(f"price {draw_sparkline(prices, _PRICES)} {low} to {high}"),
        *(
            Rung(
                clean_line(f"{format_time(trade.time_ms)[11:]} {describe_trade_line(trade)}", _LINE)
            )
            for trade in reversed(trades[-_TRADES:])
        ),
    ]


def describe_update(update: MarketUpdate, model: str | None) -> list[str]:
    """What a commit did, trades first; with a model only what was traded of it."""
    when = format_time(update.time_ms)[11:]
    lines = [
        f"{when} trade: {describe_trade_line(trade)}"
        for trade in update.trades
        if model is None or _is_of(trade, model)
    ]
    if model is None:
        lines += [f"{when} {describe_update_entry(entry)}" for entry in update.entries]
    return lines


def _is_of(trade: TradeInfo, model: str) -> bool:
    return trade.variant == model or trade.model.startswith(model)
