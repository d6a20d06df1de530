"""`meshnode keys`: API keys for programs of this machine, made and ended without the node."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from market.decimals import format_ruv, parse_ruv
from meshnode.cli.exits import OK
from meshnode.cli.formats import UNKNOWN, format_time
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.config_file import locate_home
from meshnode.errors import ConfigError
from meshnode.gateway.keys import SCOPES_DEFAULT, create_key, read_keys, revoke_key
from meshnode.home import open_home

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.gateway.keys import ApiKey

COLUMNS = ("id", "name", "*scopes", "limits", "made", "ends")
_DAY_MS = 24 * 3_600_000
_Scope = Literal["chat", "models", "read", "market", "mcp", "metrics", "admin"]
_Limit = Annotated[
    int | None,
    Parameter(validator=validators.Number(gte=1, lte=1_000_000), show_default=False),
]


def create(
    name: Annotated[str, Parameter(help="What it is for, to tell it from others.")],
    *,
    scope: Annotated[
        tuple[_Scope, ...],
        Parameter(
            help="What it may do; may be repeated [default: chat models]. `market` may spend "
            "money without a daily limit, `admin` may do everything.",
            negative="",
            show_default=False,
        ),
    ] = (),
    requests_per_min: Annotated[_Limit, Parameter(help="Requests a minute.")] = None,
    concurrent: Annotated[_Limit, Parameter(help="Questions at once.")] = None,
    ruv_per_day: Annotated[
        str,
        Parameter(
            help="Ruv that answers may cost in a day [default: none, only free questions].",
            show_default=False,
        ),
    ] = "0",
    expires_days: Annotated[
        int | None,
        Parameter(
            help="Days until it ends [default: never].",
            validator=validators.Number(gte=1, lte=3_660),
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Make an API key; it is shown once."""
    if not name.isprintable() or not 1 <= len(name) <= 64:
        raise ConfigError("a key's name has 1 to 64 printable characters", hint="for example agent")
    now_ms = time.time_ns() // 1_000_000
    key, token = create_key(
        _open(home),
        name=name,
        now_ms=now_ms,
        scopes=scope or SCOPES_DEFAULT,
        expires_ms=None if expires_days is None else now_ms + expires_days * _DAY_MS,
        requests_per_min=requests_per_min,
        concurrent=concurrent,
        day_uruv=parse_ruv(ruv_per_day, "the ruv per day"),
    )
    if json:
        print_json({"schema": "meshnode.api_key/1", **describe_key(key), "key": token.reveal()})
        return OK
    say(token.reveal())
    note("this is the only time it is shown; clients send it as their API key to the /v1 address")
    return OK


def list_(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List the API keys; the keys themselves are not kept."""
    keys = read_keys(_open(home))
    if json:
        print_json({"schema": "meshnode.api_keys/1", "keys": [describe_key(key) for key in keys]})
    elif keys:
        now_ms = time.time_ns() // 1_000_000
        print_table(COLUMNS, [_make_row(key, now_ms) for key in keys])
    else:
        say("no keys yet; `meshnode keys create NAME` makes one")
    return OK


def revoke(
    key: Annotated[str, Parameter(help="Its id or its name.")],
    *,
    home: HomeOption = None,
) -> int:
    """End an API key; a running node refuses it at once."""
    ended = revoke_key(_open(home), key)
    note(f"key {ended.id} ({clean_line(ended.name)}) is worthless now")
    return OK


def describe_key(key: ApiKey) -> dict[str, Any]:
    """What is known of a key, as JSON types, without its digest."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "requests_per_min": key.requests_per_min,
        "concurrent": key.concurrent,
        "ruv_per_day": format_ruv(key.day_uruv),
    }


def _open(home: Path | None) -> Path:
    return open_home(locate_home(home, os.environ)).path


def _make_row(key: ApiKey, now_ms: int) -> tuple[str, ...]:
    limits = [
        *([f"{key.requests_per_min}/min"] if key.requests_per_min else []),
        *([f"{key.concurrent} at once"] if key.concurrent else []),
        *([f"{format_ruv(key.day_uruv)} ruv/day"] if key.day_uruv else []),
    ]
    ends = "never" if key.expires_ms is None else format_time(key.expires_ms)
    if key.is_expired(now_ms):
        ends = "ended"
    return (
        key.id,
        key.name,
        " ".join(key.scopes),
        ", ".join(limits) or "none",
        format_time(key.created_ms) or UNKNOWN,
        ends,
    )
