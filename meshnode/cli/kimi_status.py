"""`meshnode kimi status` and `kimi models`: what the provider says when it is asked right now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market.decimals import format_scaled
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import UNKNOWN, format_count
from meshnode.cli.kimi_setup import load_key, load_settings, open_books_home
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.cli.setup import get_now_ms
from meshnode.kimi_settings import format_usd

if TYPE_CHECKING:
    from meshnode.engines.base import ModelInfo
    from meshnode.engines.pricing import Price
    from meshnode.kimi.status import KimiStatus

_MICRO_PLACES = 6
_LABEL = 9


async def status(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """Call the provider and say how the account stands. Exit code 1 when something is wrong."""
    from meshnode.kimi.status import read_status
    from meshnode.usage_store import DAY_MS, UsageStore

    folder = open_books_home(home)
    settings = load_settings(home)
    found = await read_status(settings, load_key(folder, settings))
    with UsageStore(folder) as store:
        day = get_now_ms() // DAY_MS
        found.spent_today_udollar = store.read_spent_udollar(day, engine=settings.provider)
    if json:
        print_json(found.to_json())
    else:
        for label, text in describe_status(found):
            say(f"{label:<{_LABEL}}{clean_line(text)}")
    return FAILED if found.problems else OK


def describe_status(found: KimiStatus) -> list[tuple[str, str]]:
    """The status in a few lines; problems come last, each with its next step."""
    cap = found.daily_cap_udollar
    spent = found.spent_today_udollar or 0
    capped = ", no cap" if cap is None else f" of {format_usd(cap)}"
    offered = format_count(len(found.models) if found.models else None, "model")
    lines = [
        ("account", f"{found.provider}, {found.base_url}, model {found.model}"),
        ("key", found.key or "none"),
        ("reached", "no" if found.latency_ms is None else f"in {found.latency_ms} ms, {offered}"),
        ("balance", _describe_balance(found)),
        ("limits", _describe_limits(found)),
        ("spent", f"{format_usd(spent)} USD today (UTC){capped}"),
    ]
    for problem in found.problems:
        lines.append(("problem", problem.message))
        if problem.hint:
            lines.append(("next", problem.hint))
    return lines


def _describe_balance(found: KimiStatus) -> str:
    account = found.account
    if account is None:
        return f"{UNKNOWN}, the provider does not tell"
    amounts = (
        ("available", account.available_micro),
        ("used", account.used_micro),
        ("limit", account.limit_micro),
    )
    said = [
        f"{format_scaled(micro, _MICRO_PLACES)} {account.currency} {word}"
        for word, micro in amounts
        if micro is not None
    ]
    return ", ".join(said) or UNKNOWN


def _describe_limits(found: KimiStatus) -> str:
    if not found.limits:
        return f"{UNKNOWN}, the provider does not tell"
    return ", ".join(f"{name} {value}" for name, value in found.limits.items())


async def models(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List what the provider offers right now, with context and price."""
    from meshnode.kimi.account import open_account

    folder = open_books_home(home)
    settings = load_settings(home)
    async with open_account(folder, settings, load_key(folder, settings)) as account:
        offered = [(model, account.find_price(model.id)) for model in account.models]
        newest = account.resolve_model() if offered else "none"
    if json:
        print_json(
            {
                "schema": "meshnode.kimi-models/1",
                "provider": settings.provider,
                "models": [_to_json(model, price) for model, price in offered],
            }
        )
        return OK
    if not offered:
        say(f"{settings.provider} lists no model")
        return OK
    rows = [
        (
            model.id,
            str(model.context_tokens or UNKNOWN),
            *((UNKNOWN,) * 3 if price is None else _format_price(price)),
        )
        for model, price in offered
    ]
    print_table(("*MODEL", ">CONTEXT", ">IN", ">CACHED", ">OUT"), rows)
    note(
        "prices in USD for a million tokens, as listed; what an answer did cost is in `kimi usage`"
    )
    note(f"'auto' stands for {clean_line(newest)}")
    return OK


def _format_price(price: Price) -> tuple[str, str, str]:
    cached = price.prompt if price.cached is None else price.cached
    return format_usd(price.prompt), format_usd(cached), format_usd(price.completion)


def _to_json(model: ModelInfo, price: Price | None) -> dict[str, object]:
    return {
        "id": model.id,
        "context_tokens": model.context_tokens or None,
        "tools": model.tools,
        "prompt_udollar_per_mtok": None if price is None else price.prompt,
        "cached_udollar_per_mtok": None if price is None else price.cached,
        "completion_udollar_per_mtok": None if price is None else price.completion,
    }
