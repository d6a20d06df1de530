"""The tools of the Model Context Protocol, over any node; the protocol itself is elsewhere.

A tool gets its arguments decoded strictly and answers with a view. Models send the arguments:
nothing in them is trusted, and what costs money needs a highest amount.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from market.decimals import InvalidNumber, format_ruv, parse_ruv
from market.instruments import PRICE_MAX_URUV
from meshnode.errors import MeshError, NoPeerServes
from meshnode.gateway.bodies import Body
from meshnode.gateway.keys import Scope
from meshnode.gateway.mcp_arguments import (
    AskArguments,
    BidArguments,
    BookArguments,
    DagArguments,
    StatusArguments,
    UsageArguments,
)
from meshnode.gateway.mcp_purse import Purse
from meshnode.gateway.mcp_reports import (
    ReadUsage,
    make_usage_report,
    summarise_mesh,
)
from meshnode.gateway.mcp_views import (
    BidPlaced,
    DagFound,
    MarketFound,
    MeshAnswer,
    MeshSummary,
    UsageReport,
    VertexText,
)
from meshnode.gateway.port import MeshNode
from meshnode.gateway.refusals import InvalidRequest
from meshnode.views import View

if TYPE_CHECKING:
    from meshnode.views import Answer

TEXT_CHARS_MAX: Final = 100_000
"""Longest text in an answer of a tool."""
LISTED_MAX: Final = 100
"""Most instruments in an answer."""
BID_WAIT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Context:
    """Whom a tool works for, and with what."""

    node: MeshNode
    purse: Purse
    read_usage: ReadUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool."""

    name: str
    title: str
    description: str
    takes: type[Body]
    gives: type[View]
    run: Callable[[Context, Any], Awaitable[View]]
    scope: Scope
    """What a client must be allowed to, to see and call it."""
    reads_only: bool = True
    open_world: bool = False
    """Whether it reaches beyond the own mesh's records."""


async def call_tool(tool: Tool, context: Context, arguments: object) -> View:
    """Check the arguments and run a tool. Raises `MeshError`s."""
    try:
        taken = msgspec.convert(arguments if arguments is not None else {}, tool.takes)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"the arguments of {tool.name} cannot be used: {error}",
            hint=f"there are {', '.join(tool.takes.__struct_fields__) or 'none'}",
        ) from None
    return await tool.run(context, taken)


def make_schema(kind: type) -> dict[str, Any]:
    """A JSON Schema with everything it needs inside, and an object at its root."""
    (reference,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    root = components.pop(reference["$ref"].rpartition("/")[2])
    return {**root, "$defs": components} if components else root


async def _show_status(context: Context, _: StatusArguments) -> MeshSummary:
    return summarise_mesh(await context.node.status(), await context.node.peers())


async def _ask(context: Context, arguments: AskArguments) -> MeshAnswer:
    spend_uruv = None if arguments.max_ruv is None else _read_ruv(arguments.max_ruv, "max_ruv")
    messages = [{"role": "user", "content": arguments.prompt}]
    if arguments.system is not None:
        messages.insert(0, {"role": "system", "content": arguments.system})
    with context.purse.hold(spend_uruv or 0) as hold:
        answer = await context.node.ask(
            messages,
            model=arguments.model,
            max_tokens=arguments.max_tokens,
            knowledge=arguments.knowledge,
            timeout_ms=arguments.timeout_s * 1_000,
            max_price_uruv=min(spend_uruv, PRICE_MAX_URUV) if spend_uruv else None,
            max_spend_uruv=spend_uruv or None,
        )
        cost_uruv = 0 if answer.payment is None else answer.payment.cost_uruv
        hold.settle(cost_uruv)
    return _show_answer(answer, cost_uruv)


def _show_answer(answer: Answer, cost_uruv: int) -> MeshAnswer:
    return MeshAnswer(
        text=answer.text[:TEXT_CHARS_MAX],
        is_cut=len(answer.text) > TEXT_CHARS_MAX,
        model=answer.model,
        engine=answer.engine,
        answered_by=answer.name,
        vertex=answer.vertex,
        verified=answer.verified,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        cost_ruv=format_ruv(cost_uruv),
    )


async def _query_dag(context: Context, arguments: DagArguments) -> DagFound:
    if arguments.id is None:
        found = await context.node.vertices(
            limit=arguments.limit, kind=arguments.kind, author=arguments.author
        )
        return DagFound(vertices=tuple(found))
    detail = await context.node.vertex(arguments.id)
    body = detail.body or {}
    # An answer or a note as it reads; anything else as it is.
    named = next((body[name] for name in ("answer", "content") if body.get(name)), None)
    text = named if isinstance(named, str) else msgspec.json.encode(body).decode()
    shown = VertexText(
        vertex=detail.vertex,
        text=text[:TEXT_CHARS_MAX],
        is_cut=len(text) > TEXT_CHARS_MAX,
        finality=detail.finality,
    )
    return DagFound(one=shown)


async def _show_book(context: Context, arguments: BookArguments) -> MarketFound:
    if arguments.model is None:
        listed = await context.node.market_instruments()
        return MarketFound(
            instruments=tuple(listed[:LISTED_MAX]), more=max(0, len(listed) - LISTED_MAX)
        )
    book = await context.node.market_book(arguments.model, depth=arguments.depth)
    return MarketFound(book=book)


async def _report_usage(context: Context, arguments: UsageArguments) -> UsageReport:
    status = await context.node.status()
    history = await context.node.wallet_history(limit=arguments.limit)
    first_day = int(time.time()) // 86_400 - arguments.days + 1
    sums = await context.read_usage(first_day)
    return make_usage_report(arguments.days, status, history, sums)


async def _place_bid(context: Context, arguments: BidArguments) -> BidPlaced:
    spend_uruv = _read_ruv(arguments.max_ruv, "max_ruv")
    price_uruv = None
    if arguments.price_ruv is not None:
        price_uruv = _read_ruv(arguments.price_ruv, "price_ruv")
        if price_uruv * arguments.lots > spend_uruv:
            raise InvalidRequest(
                f"{arguments.lots} lots at {format_ruv(price_uruv)} ruv may cost "
                f"{format_ruv(price_uruv * arguments.lots)} ruv, more than max_ruv",
                hint="bid for fewer lots, or allow more",
            )
    elif arguments.keep_open:
        raise InvalidRequest(
            "a bid that stays open needs price_ruv", hint="give the most for a lot"
        )
    with context.purse.hold(spend_uruv):
        outcome = await context.node.market_bid(
            arguments.model,
            price_uruv=price_uruv,
            lots=arguments.lots,
            time_in_force="gtc" if arguments.keep_open else "ioc",
            budget_uruv=spend_uruv if price_uruv is None else 0,
            wait_ms=BID_WAIT_MS,
        )
    return BidPlaced(
        order=outcome.id,
        status=outcome.status,
        message="; ".join(filter(None, (outcome.message, outcome.hint))),
        trades=outcome.trades,
        max_ruv=format_ruv(spend_uruv),
    )


def _read_ruv(text: str, name: str) -> int:
    try:
        amount_uruv = parse_ruv(text, name)
    except InvalidNumber as error:
        raise InvalidRequest(error.message, hint=error.hint) from None
    if not amount_uruv:
        raise InvalidRequest(f"{name} is nothing", hint="leave it out, or give an amount")
    return amount_uruv


TOOLS: Final = (
    Tool(
        name="mesh_status",
        title="Mesh status",
        description="The node and its mesh: members, models that can be asked, load, money, problems.",
        takes=StatusArguments,
        gives=MeshSummary,
        run=_show_status,
        scope="read",
    ),
    Tool(
        name="mesh_ask",
        title="Ask the mesh",
        description=(
            "Ask a model that a member of the mesh serves. The answer becomes a signed record that "
            "every member keeps. Free unless max_ruv is given."
        ),
        takes=AskArguments,
        gives=MeshAnswer,
        run=_ask,
        scope="chat",
        reads_only=False,
        open_world=True,
    ),
    Tool(
        name="dag_query",
        title="Look into the DAG",
        description="Signed results, notes and decisions of the mesh: a list, or one with its text.",
        takes=DagArguments,
        gives=DagFound,
        run=_query_dag,
        scope="read",
    ),
    Tool(
        name="market_book",
        title="Market book",
        description="What reasoning capacity is listed, or the order book of one model.",
        takes=BookArguments,
        gives=MarketFound,
        run=_show_book,
        scope="read",
    ),
    Tool(
        name="usage_report",
        title="Usage and cost",
        description="This node's ruv, what moved them, and what paid providers have cost.",
        takes=UsageArguments,
        gives=UsageReport,
        run=_report_usage,
        scope="read",
    ),
    Tool(
        name="market_place_bid",
        title="Bid for capacity",
        description=(
            "Bid for lots of reasoning capacity. Spends this node's ruv, at most max_ruv in all."
        ),
        takes=BidArguments,
        gives=BidPlaced,
        run=_place_bid,
        scope="market",
        reads_only=False,
        open_world=True,
    ),
)
"""Every tool, in the order of the list."""


def list_tools(purse: Purse) -> list[Tool]:
    """The tools that a client may call."""
    return [tool for tool in TOOLS if purse.may(tool.scope)]


def is_worth_repeating(error: MeshError) -> bool:
    """Whether the same call may succeed a little later."""
    return error.retryable or isinstance(error, NoPeerServes)
