"""Orders, trades, contracts and what happened to accounts, in words and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.cli.exits import OK, TIMED_OUT
from meshnode.cli.formats import format_duration, format_id, format_name, format_time
from meshnode.cli.money import format_amount, format_percent, format_price, format_tokens
from meshnode.cli.output import clean_line, note, print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.market_views import (
        AttributesInfo,
        ContractInfo,
        HistoryEntry,
        OrderInfo,
        OutcomeInfo,
        ReceiptInfo,
        TradeInfo,
    )
    from meshnode.views import View

ORDER_COLUMNS: Final = ("id", "side", "*model", ">tokens", ">price", ">held", "ends", "of")
TRADE_COLUMNS: Final = ("contract", "time", "*model", ">tokens", ">price", "buyer", "provider")
CONTRACT_COLUMNS: Final = ("id", "phase", "*model", ">tokens", ">price", ">cost", "with", "until")
HISTORY_COLUMNS: Final = (">commit", "time", "what", ">ruv", "subject", "*detail")
PARTIES_WIDTH: Final = 10
_DAY_MS: Final = 86_400_000
_LABEL: Final = 12
_SECOND_MS: Final = 1_000


def print_list(name: str, items: Sequence[View]) -> None:
    """A list as one JSON document."""
    print_json({"schema": f"meshnode.market-{name}/1", name: [item.to_json() for item in items]})


def print_outcome(outcome: OutcomeInfo, said: str, *, json: bool) -> int:
    """What became of a command, and the exit code that says so."""
    if json:
        print_json({"schema": "meshnode.market-outcome/1", **outcome.to_json()})
    elif outcome.status == "accepted":
        say(said)
    if outcome.status == "accepted":
        return OK
    note(
        f"{outcome.command} {format_id(outcome.id)} has no place in the order yet; "
        "`meshnode consensus status` shows what it waits for"
    )
    return TIMED_OUT


def line(label: str, text: str) -> str:
    """A fact of a card."""
    return f"{label:<{_LABEL - 1}} {text}"


# --- rows ------------------------------------------------------------------------------------------


def describe_order(order: OrderInfo, now_ms: int) -> tuple[str, ...]:
    """An order as a row."""
    return (
        format_id(order.id),
        order.side,
        clean_line(order.variant),
        format_tokens(order.lots),
        format_price(order.price_uruv),
        format_price(order.margin_uruv + order.bond_uruv),
        describe_left(order.expires_ms, now_ms),
        format_name(order.account_name, order.account, PARTIES_WIDTH),
    )


def describe_trade(trade: TradeInfo) -> tuple[str, ...]:
    """A trade as a row."""
    return (
        format_id(trade.contract),
        format_time(trade.time_ms)[11:],
        clean_line(trade.variant),
        format_tokens(trade.lots),
        format_price(trade.price_uruv),
        format_name(trade.buyer_name, trade.buyer, PARTIES_WIDTH),
        format_name(trade.provider_name, trade.provider, PARTIES_WIDTH),
    )


def describe_contract_row(contract: ContractInfo, own: str, now_ms: int) -> tuple[str, ...]:
    """A contract as a row, as the account `own` sees it."""
    is_buyer = contract.buyer == own
    name, author = (
        (contract.provider_name, contract.provider)
        if is_buyer
        else (contract.buyer_name, contract.buyer)
    )
    until = "-" if contract.due_ms is None else describe_left(contract.due_ms, now_ms)
    return (
        format_id(contract.id),
        contract.phase,
        clean_line(contract.variant),
        format_tokens(contract.lots),
        format_price(contract.price_uruv),
        format_price(contract.cost_uruv),
        f"{'from' if is_buyer else 'to'} {format_name(name, author, PARTIES_WIDTH)}",
        until,
    )


def describe_entry(entry: HistoryEntry) -> tuple[str, ...]:
    """Something that happened, as a row."""
    return (
        str(entry.commit_index),
        format_time(entry.time_ms)[5:],
        clean_line(entry.kind.replace("_", " ")),
        format_price(entry.amount_uruv) if entry.amount_uruv else "",
        format_id(entry.subject),
        clean_line(entry.detail.replace("_", " ")),
    )


# --- words -----------------------------------------------------------------------------------------


def describe_update_entry(entry: HistoryEntry) -> str:
    """Something that happened, in one line."""
    who = format_name(entry.account_name, entry.account, PARTIES_WIDTH)
    amount = f" {format_amount(entry.amount_uruv)}" if entry.amount_uruv else ""
    detail = f" ({clean_line(entry.detail.replace('_', ' '))})" if entry.detail else ""
    what = clean_line(entry.kind.replace("_", " "))
    return f"{who}: {what} {format_id(entry.subject)}{amount}{detail}"


def describe_trade_line(trade: TradeInfo) -> str:
    """A trade in one line."""
    buyer = format_name(trade.buyer_name, trade.buyer, PARTIES_WIDTH)
    provider = format_name(trade.provider_name, trade.provider, PARTIES_WIDTH)
    return (
        f"{format_tokens(trade.lots)} tokens at {format_price(trade.price_uruv)}, "
        f"{buyer} from {provider}, contract {format_id(trade.contract)}"
    )


def describe_attributes(attributes: AttributesInfo) -> str:
    """What is promised, the shortest way: '128k 99 % 2 s rep 50 % tee'."""
    parts = [f"{attributes.context_tokens // 1_024}k"]
    if attributes.sla_bp:
        parts.append(format_percent(attributes.sla_bp).replace(" ", ""))
    if attributes.first_token_ms < _DAY_MS:
        parts.append(f"{attributes.first_token_ms // _SECOND_MS}s")
    if attributes.reputation_bp:
        parts.append(f"rep {format_percent(attributes.reputation_bp).replace(' ', '')}")
    parts += [name for name in ("region", "tee") if getattr(attributes, name)]
    return " ".join(parts)


def describe_left(time_ms: int, now_ms: int) -> str:
    """How long it is until a moment."""
    return format_duration(time_ms - now_ms) if time_ms > now_ms else "now"


def describe_contract(contract: ContractInfo, now_ms: int) -> list[str]:
    """Everything about a contract, one fact per line."""
    lines = [
        line("id", contract.id),
        line("model", clean_line(contract.variant)),
        line("phase", _describe_phase(contract, now_ms)),
        line("buyer", _name(contract.buyer_name, contract.buyer)),
        line("provider", _name(contract.provider_name, contract.provider)),
        line(
            "for",
            f"{format_tokens(contract.lots)} tokens at {format_price(contract.price_uruv)} "
            f"ruv per 1,000{_describe_guarantee(contract.sla_bp)}",
        ),
        line(
            "reward" if contract.reward else "cost",
            f"{format_amount(contract.cost_uruv)}"
            + (f" of {format_amount(contract.escrow_uruv)}" if contract.escrow_uruv else ""),
        ),
        line("collateral", format_amount(contract.collateral_uruv)),
        line("opened", format_time(contract.opened_ms)),
        line("orders", f"bid {format_id(contract.bid)}, offer {format_id(contract.offer)}"),
    ]
    if contract.receipt is not None:
        lines.append(line("receipt", _describe_receipt(contract.receipt)))
    if contract.disputer is not None:
        side = "the buyer" if contract.disputer == contract.buyer else "the provider"
        lines.append(line("dispute", f"by {side}, bond {format_amount(contract.bond_uruv)}"))
    return lines


def _describe_phase(contract: ContractInfo, now_ms: int) -> str:
    detail = f" ({clean_line(contract.detail)})" if contract.detail else ""
    if contract.due_ms is not None:
        return f"{contract.phase}, moves on in {describe_left(contract.due_ms, now_ms)}{detail}"
    if contract.ended_ms is not None:
        return f"{contract.phase} at {format_time(contract.ended_ms)}{detail}"
    return f"{contract.phase}{detail}"


def _describe_guarantee(sla_bp: int) -> str:
    return f", guaranteed {format_percent(sla_bp)}" if sla_bp else ""


def _describe_receipt(receipt: ReceiptInfo) -> str:
    last = ", the last" if receipt.final else ""
    return (
        f"number {receipt.seq}{last}: {receipt.tokens_in:,} in, {receipt.tokens_out:,} out, "
        f"{receipt.tokens_billed:,} billed"
    )


def _name(name: str, author: str) -> str:
    return f"{format_name(name, author)} ({format_id(author)})"
