"""`meshnode wallet`: the money of this node, and of others to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from meshnode.cli.decision_text import read_now_ms
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count, format_id, format_name
from meshnode.cli.market_options import LIMIT, WAIT_S, AccountArgument, LimitOption, WaitOption
from meshnode.cli.market_text import (
    HISTORY_COLUMNS,
    describe_entry,
    describe_left,
    line,
    print_list,
    print_outcome,
)
from meshnode.cli.money import format_amount, format_percent, read_ruv
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, print_json, print_table, say
from meshnode.client import connect

if TYPE_CHECKING:
    from meshnode.market_views import WalletInfo

AmountArgument = Annotated[
    str, Parameter(help="How much, exactly: 0.25, 12.5ruv, or 300uruv for millionths.")
]


async def balance(
    account: AccountArgument = None, *, home: HomeOption = None, json: JsonOption = False
) -> int:
    """Show what an account has, and where it is."""
    async with connect(home) as node:
        found = await node.wallet(account)
    if json:
        print_json(found.to_json())
        return OK
    for text in describe_wallet(found, read_now_ms()):
        say(text)
    return OK


async def send(
    receiver: Annotated[str, Parameter(help="A member's name, or a whole account id.")],
    amount: AmountArgument,
    *,
    memo: Annotated[
        str, Parameter(show_default=False, help="A few words for everybody to read.")
    ] = "",
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Give free ruv to another account."""
    uruv = read_ruv(amount, "the amount")
    async with connect(home) as node:
        outcome = await node.wallet_send(receiver, uruv, memo=memo, wait_ms=timeout_s * 1_000)
    said = f"sent {format_amount(uruv)} to {clean_line(receiver, 40)}"
    return print_outcome(outcome, said, json=json)


async def stake(
    amount: AmountArgument,
    *,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Turn free ruv into stake, which stands behind offers."""
    uruv = read_ruv(amount, "the amount")
    async with connect(home) as node:
        outcome = await node.wallet_stake(uruv, wait_ms=timeout_s * 1_000)
    return print_outcome(outcome, f"staked {format_amount(uruv)}", json=json)


async def unstake(
    amount: AmountArgument,
    *,
    timeout_s: WaitOption = WAIT_S,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Begin to turn stake into free ruv; it takes 14 days."""
    uruv = read_ruv(amount, "the amount")
    async with connect(home) as node:
        outcome = await node.wallet_unstake(uruv, wait_ms=timeout_s * 1_000)
    return print_outcome(
        outcome, f"{format_amount(uruv)} of the stake are free in 14 days", json=json
    )


async def history(
    account: AccountArgument = None,
    *,
    limit: LimitOption = LIMIT,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List what happened to an account, the newest first."""
    async with connect(home) as node:
        found = await node.wallet_history(account, limit=limit)
    if json:
        print_list("history", found)
    elif found:
        print_table(HISTORY_COLUMNS, [describe_entry(entry) for entry in found])
    else:
        say("nothing has happened to this account yet")
    return OK


def describe_wallet(wallet: WalletInfo, now_ms: int) -> list[str]:
    """What an account has, one place of it a line."""
    contracts = format_count(wallet.live_contracts, "contract")
    orders = format_count(wallet.open_orders, "open order")
    lines = [
        line(
            "account", f"{format_name(wallet.name, wallet.account)} ({format_id(wallet.account)})"
        ),
        line("free", format_amount(wallet.free_uruv)),
        line("reserved", f"{format_amount(wallet.reserved_uruv)} for {orders}"),
        line("staked", format_amount(wallet.staked_uruv)),
    ]
    lines += [
        line(
            "unbonding",
            f"{format_amount(each.amount_uruv)}, free in {describe_left(each.due_ms, now_ms)}",
        )
        for each in wallet.unbondings
    ]
    if wallet.live_contracts:
        lines += [
            line("in escrow", f"{format_amount(wallet.escrow_uruv)} as a buyer, in {contracts}"),
            line("collateral", f"{format_amount(wallet.collateral_uruv)} as a provider"),
        ]
    return [*lines, line("reputation", format_percent(wallet.reputation_bp))]
