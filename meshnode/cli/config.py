"""`meshnode config show`: every setting, where it comes from, and no key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from meshnode.cli.exits import FAILED, OK
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import describe_error, note, print_json, print_table
from meshnode.config import NodeConfig
from meshnode.config_file import load_config
from meshnode.errors import ConfigError
from meshnode.key_references import parse_reference
from meshnode.secret import MASK, redact

if TYPE_CHECKING:
    from meshnode.config_file import LoadedConfig

_KEY_NAMES = ("api_key", "key", "token", "secret", "password", "passphrase")
_HIDDEN = ("passphrase", "daily_cap_udollar")
"""Never read from settings, or told under another name."""


def show(
    *,
    all: Annotated[  # noqa: A002 - the option's name
        bool, Parameter(help="Defaults, too.", negative="", show_default=False)
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show the settings a node started now would have, each with where it comes from.

    Of a key the reference is shown. One that stands there itself is masked, and that is an error.
    """
    loaded = load_config(home)
    rows = [row for row in list_settings(loaded) if all or row[2] != "default"]
    exposed = [key for key, value, _ in rows if MASK in (value, key.rpartition(".")[2])]
    if json:
        settings = {key: {"value": value, "origin": origin} for key, value, origin in rows}
        print_json({"schema": "meshnode.settings/1", "settings": settings, "exposed": exposed})
    else:
        print_table(("SETTING", "*VALUE", "FROM"), [(k, v, _shorten(o)) for k, v, o in rows])
        note(f"home folder: {loaded.config.home}")
    for key in exposed:
        hint = "put a reference there instead, env:NAME or file:PATH, and get a new key"
        note(describe_error(f"problem: {key} holds a key", hint))
    return FAILED if exposed else OK


def list_settings(loaded: LoadedConfig) -> list[tuple[str, str, str]]:
    """Every setting with its value as it may be shown, and its origin."""
    rows: list[tuple[str, str, str]] = []
    for field in fields(NodeConfig):
        if field.name in _HIDDEN:
            continue
        value, origin = getattr(loaded.config, field.name), loaded.origins[field.name]
        if isinstance(value, Mapping):
            rows += [
                (f"{field.name}.{redact(str(key))}", _mask(str(key), value[key]), origin)
                for key in value
            ]
        else:
            rows.append((field.name, _mask(field.name, value), origin))
    if loaded.kimi is not None:
        told = loaded.kimi.model_dump(exclude_unset=True)
        origin = loaded.origins.get("kimi", "default")
        rows += [(f"kimi.{key}", _mask(key, told[key]), origin) for key in told]
    return rows


def _mask(name: str, value: object) -> str:
    """A value as it may be shown."""
    if name in _KEY_NAMES:
        try:
            return str(parse_reference(str(value), setting=name))
        except ConfigError:
            return MASK
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return MASK if redact(text) != text else text


def _shorten(origin: str) -> str:
    """An origin that fits a table: of a file its name."""
    return origin.rpartition("/")[2]
