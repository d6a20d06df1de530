"""`meshnode kimi usage`: what requests used and cost, out of the books of the home folder."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.kimi_setup import open_books_home
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import note, print_json, print_table, say, write
from meshnode.cli.setup import get_now_ms
from meshnode.kimi_settings import format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.usage_store import UsageStore, UsageSum

_DAY_S = 86_400
_COUNTS = (
    *("requests", "failures", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("cost_udollar", "unpriced"),
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t")
By = Literal["day", "model", "provider"]


def usage(
    *,
    days: Annotated[
        int, Parameter(help="How many days, today included.", validator=validators.Number(gte=1))
    ] = 30,
    by: Annotated[By, Parameter(help="What a line is about.")] = "day",
    export: Annotated[
        Literal["csv"] | None,
        Parameter(help="Write every request that is kept, not sums.", show_default=False),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Sum up what requests used and cost, of `kimi` commands and of a node's own engine.

    Days are those of UTC.
    """
    from meshnode.usage_store import DAY_MS, UsageStore

    first_day = max(0, get_now_ms() // DAY_MS - days + 1)
    with UsageStore(open_books_home(home)) as store:
        if export is not None:
            _export(store, first_day)
            return OK
        sums = store.read_sums(first_day=first_day)
    rows = add_up(sums, by)
    total = add_up(sums, None)
    if json:
        print_json(
            {
                "schema": "meshnode.kimi-usage/1",
                "days": days,
                "by": by,
                "rows": rows,
                "total": total[0] if total else dict.fromkeys(_COUNTS, 0),
            }
        )
        return OK
    if not rows:
        say(f"nothing was asked in the last {days} days")
        return OK
    _show(rows, total[0])
    return OK


def add_up(sums: Sequence[UsageSum], by: By | None) -> list[dict[str, Any]]:
    """Sums by day, by model and its provider, by provider, or altogether."""
    keys: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in sums:
        name = _name(entry, by)
        row = keys.setdefault(tuple(name.values()), {**name, **dict.fromkeys(_COUNTS, 0)})
        for count in _COUNTS:
            row[count] += getattr(entry, count)
    return [keys[key] for key in sorted(keys)]


def _name(entry: UsageSum, by: By | None) -> dict[str, str]:
    if by == "day":
        return {"day": format_day(entry.day)}
    if by == "model":
        return {"provider": entry.engine, "model": entry.model}
    return {} if by is None else {"provider": entry.engine}


def format_day(day: int) -> str:
    """A day of UTC as a date."""
    return datetime.fromtimestamp(day * _DAY_S, UTC).date().isoformat()


def _show(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> None:
    names = [name for name in rows[0] if name not in _COUNTS]
    columns = [f"{'*' if name == 'model' else ''}{name.upper()}" for name in names]
    columns += [">REQUESTS", ">FAILED", ">IN", ">CACHED", ">OUT", ">USD"]
    table = [[*(str(row[name]) for name in names), *_format_counts(row)] for row in rows]
    if len(rows) > 1:
        table.append(["all", *[""] * (len(names) - 1), *_format_counts(total)])
    print_table(columns, table)
    if total["unpriced"]:
        note(f"{total['unpriced']} of {total['requests']} requests have no known cost")


def _format_counts(row: dict[str, Any]) -> list[str]:
    tokens = (str(row[name]) for name in ("prompt_tokens", "cached_tokens", "completion_tokens"))
    cost = format_usd(row["cost_udollar"])
    return [str(row["requests"]), str(row["failures"]), *tokens, cost]


def _export(store: UsageStore, first_day: int) -> None:
    """Every request as CSV; no text of a provider can become a formula of a spreadsheet."""
    from meshnode.engines.usage import UsageRecord

    page = io.StringIO()
    writer = csv.DictWriter(page, [field.name for field in fields(UsageRecord)])
    writer.writeheader()
    for record in store.read_requests(first_day=first_day):
        row = asdict(record)
        writer.writerow(
            {
                name: f"'{value}"
                if isinstance(value, str) and value.startswith(_FORMULA_STARTS)
                else value
                for name, value in row.items()
            }
        )
        write(page.getvalue())
        page.seek(0)
        page.truncate()
    write(page.getvalue())
