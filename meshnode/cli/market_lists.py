"""`meshnode market orders | trades | contracts | instruments`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from meshnode.cli.decision_text import read_now_ms
from meshnode.cli.exits import OK
from meshnode.cli.market_options import LIMIT, LimitOption, ModelOption
from meshnode.cli.market_text import (
    CONTRACT_COLUMNS,
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    describe_contract,
    describe_contract_row,
    describe_order,
    describe_trade,
    print_list,
)
from meshnode.cli.money import format_price, format_tokens
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, print_json, print_table, say
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.market_views import InstrumentInfo

INSTRUMENT_COLUMNS = ("id", "*model", "backend", "terms", ">bid", ">offer", ">offered")

AccountOption = Annotated[
    str | None, Parameter(name="--account", help="Of this member or account.")
]


async def orders(
    *,
    account: AccountOption = None,
    everybody: Annotated[
        bool, Parameter(negative="", show_default=False, help="Of everybody, not of this node.")
    ] = False,
    model: ModelOption = None,
    limit: LimitOption = LIMIT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List open orders, the newest first."""
    async with connect(home) as node:
        whose = None if everybody else account or (await node.status()).author
        found = await node.market_orders(account=whose, model=model, limit=limit)
    if json:
        print_list("orders", found)
    elif found:
        now_ms = read_now_ms()
        print_table(ORDER_COLUMNS, [describe_order(order, now_ms) for order in found])
    else:
        say("no open orders; `meshnode market bid` and `meshnode market offer` place some")
    return OK


async def trades(
    *,
    account: AccountOption = None,
    model: ModelOption = None,
    limit: LimitOption = LIMIT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List trades, the newest first."""
    async with connect(home) as node:
        found = await node.market_trades(account=account, model=model, limit=limit)
    if json:
        print_list("trades", found)
    elif found:
        print_table(TRADE_COLUMNS, [describe_trade(trade) for trade in found])
    else:
        say("nothing was traded yet; `meshnode market book` shows who bids and offers")
    return OK


async def contracts(
    contract: Annotated[
        str | None, Parameter(help="Show this one: its id, or the beginning of it.")
    ] = None,
    *,
    account: AccountOption = None,
    ended: Annotated[
        bool, Parameter(negative="", show_default=False, help="Those that are over.")
    ] = False,
    limit: LimitOption = LIMIT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List what follows from this node's trades, or show one contract."""
    now_ms = read_now_ms()
    async with connect(home) as node:
        if contract is not None:
            shown = await node.market_contract(contract)
            if json:
                print_json(shown.to_json())
            else:
                for text in describe_contract(shown, now_ms):
                    say(text)
            return OK
        whose = account or (await node.status()).author
        found = await node.market_contracts(account=whose, ended=ended, limit=limit)
    if json:
        print_list("contracts", found)
    elif found:
        rows = [describe_contract_row(each, whose, now_ms) for each in found]
        print_table(CONTRACT_COLUMNS, rows)
    else:
        other = "" if ended else "; `--ended` lists those that are over"
        say(f"no contracts{other}")
    return OK


async def instruments(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List what can be traded, and what its terms allow."""
    async with connect(home) as node:
        found = await node.market_instruments()
    if json:
        print_list("instruments", found)
    elif found:
        print_table(INSTRUMENT_COLUMNS, [_describe_instrument(each) for each in found])
    else:
        say("nothing can be traded yet; validators list models: `meshnode market list MODEL`")
    return OK


def _describe_instrument(instrument: InstrumentInfo) -> tuple[str, ...]:
    return (
        instrument.model[:8],
        clean_line(instrument.variant),
        clean_line(instrument.backend_class, 12),
        instrument.policy.replace("_", " "),
        format_price(instrument.best_bid_uruv),
        format_price(instrument.best_offer_uruv),
        format_tokens(instrument.offer_lots),
    )
