"""`meshnode kimi configure`: which account to use, and where its key is."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from meshnode.cli.blocking import interruptible
from meshnode.cli.exits import OK
from meshnode.cli.kimi_keys import KeyAnswer, choose_key, keep_key
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import is_interactive, note, print_json, say
from meshnode.cli.setup import get_now_ms
from meshnode.config_file import load_config, locate_home
from meshnode.config_table import write_table
from meshnode.errors import ConfigError
from meshnode.home import open_home
from meshnode.kimi_settings import (
    KimiTable,
    check_base_url,
    complete_settings,
    format_usd,
    read_usd,
    suggest_provider,
)

if TYPE_CHECKING:
    from meshnode.kimi_settings import KimiSettings

_COMMENT = "Written by `meshnode kimi configure`; api_key is a reference, never the key."
_OF_PROVIDER = ("region", "base_url", "api_key", "model")
"""What goes when the provider changes."""

_Seconds = validators.Number(gte=1, lte=86_400)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class KeyOptions:
    """Where the key comes from, and where it is kept."""

    api_key_stdin: Annotated[
        bool,
        Parameter(help="Read the key from stdin.", negative="", show_default=False),
    ] = False
    api_key_env: Annotated[
        str | None, Parameter(help="Use the key in this environment variable.", show_default=False)
    ] = None
    api_key_file: Annotated[
        Path | None,
        Parameter(
            help="Use the key in this file, as service managers provide it.", show_default=False
        ),
    ] = None
    api_key: Annotated[
        str | None,
        Parameter(
            help="The key itself; discouraged, the shell's history keeps it.", show_default=False
        ),
    ] = None
    store: Annotated[
        Literal["auto", "keyring", "encrypted"],
        Parameter(help="Where a typed key is kept: the system's key ring or the home, encrypted."),
    ] = "auto"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AccountOptions:
    """Which account, and what it may do. What is left out stays as it is."""

    provider: Annotated[
        Literal["moonshot", "openrouter", "local"] | None,
        Parameter(help="Who answers: the Kimi platform, OpenRouter, or an engine of your own."),
    ] = None
    region: Annotated[
        Literal["international", "china"] | None,
        Parameter(help="Which Kimi platform; each has accounts of its own."),
    ] = None
    base_url: Annotated[
        str | None, Parameter(help="Address of an engine of your own, or of a gateway.")
    ] = None
    model: Annotated[
        str | None, Parameter(help="Model for questions that name none; 'auto' for the newest.")
    ] = None
    max_tokens: Annotated[
        int | None,
        Parameter(help="Longest answer.", validator=validators.Number(gte=1, lte=1_000_000)),
    ] = None
    temperature: Annotated[
        str | None,
        Parameter(help="0 to 2, or 'model' for the model's own; newer ones accept no other."),
    ] = None
    timeout: Annotated[
        int | None, Parameter(help="Seconds for a whole answer.", validator=_Seconds)
    ] = None
    first_token_timeout: Annotated[
        int | None, Parameter(help="Seconds for its first token.", validator=_Seconds)
    ] = None
    daily_cap: Annotated[
        str | None,
        Parameter(
            help="Dollars a day (UTC) may cost, or 'none'; more is refused before it is sent."
        ),
    ] = None


def configure(
    *,
    account: AccountOptions | None = None,
    keys: KeyOptions | None = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Say which account to use. The key is asked for without echo, and kept out of the settings.

    Only a reference to the key is written to config.toml.
    """
    folder = open_home(locate_home(home, os.environ)).path
    before = load_config(home).kimi
    values = merge(before, account or AccountOptions(), suggest_provider(os.environ))
    settings = _complete(values)
    answer = _find_key(keys or KeyOptions(), settings)
    reference, remark = settings.api_key, ""
    if answer is not None:
        reference, remark = keep_key(folder, settings, answer, now_ms=get_now_ms())
    if reference:
        values["api_key"] = reference
    write_table(folder / "config.toml", "kimi", values, comment=_COMMENT)
    settings = _complete(values)
    if json:
        print_json({"schema": "meshnode.kimi-settings/1", **values})
        return OK
    for line in describe(settings, folder / "config.toml", remark):
        say(line)
    return OK


def merge(
    before: KimiTable | None, options: AccountOptions, suggested: str | None
) -> dict[str, Any]:
    """The table to write: what was there, and over it what was asked for."""
    values: dict[str, Any] = {} if before is None else before.model_dump(exclude_unset=True)
    provider = options.provider or values.get("provider") or suggested or "moonshot"
    if values.get("provider", provider) != provider:
        values = {key: value for key, value in values.items() if key not in _OF_PROVIDER}
    values = {"provider": provider} | values | {"provider": provider}
    if options.base_url is not None:
        check_base_url(options.base_url)
    changes: dict[str, Any] = {
        "region": options.region,
        "base_url": options.base_url,
        "model": options.model,
        "max_tokens": options.max_tokens,
        "timeout_s": options.timeout,
        "first_token_timeout_s": options.first_token_timeout,
    }
    values |= {key: value for key, value in changes.items() if value is not None}
    if options.region is not None and options.base_url is None:
        values.pop("base_url", None)
    if options.temperature is not None:
        values.pop("temperature", None)
        if options.temperature != "model":
            values["temperature"] = _read_temperature(options.temperature)
    if options.daily_cap is not None:
        values.pop("daily_cap_usd", None)
        if options.daily_cap != "none":
            values["daily_cap_usd"] = format_usd(read_usd(options.daily_cap, "--daily-cap"))
    return values


def describe(settings: KimiSettings, path: Path, remark: str) -> list[str]:
    """What was written, where, and what to try next."""
    cap = settings.daily_cap_udollar
    limits = [f"answers up to {settings.max_tokens} tokens, {settings.timeout_s} s"]
    limits.append("no daily cap" if cap is None else f"at most {format_usd(cap)} USD a day")
    lines = [
        f"account  {settings.provider}, {settings.base_url}, model {settings.model}",
        f"key      {settings.api_key or 'none'}{f' ({remark})' if remark else ''}",
        f"limits   {', '.join(limits)}",
        f"written  {path}",
        f"next     meshnode kimi status, meshnode up --engine {settings.provider}",
    ]
    name = settings.api_key.removeprefix("env:")
    if name != settings.api_key and not os.environ.get(name):
        lines.insert(2, f"         {name} is not set here: set it before you ask")
    return lines


def _find_key(options: KeyOptions, settings: KimiSettings) -> KeyAnswer | None:
    """The key as somebody gives it, or a reference; None where it stays where it was."""
    if options.api_key is not None:
        note(
            "warning: a key on the command line stays in the shell's history, and others on this "
            "machine can read it meanwhile; next time leave it out and type it when asked"
        )
    return choose_key(
        given=options.api_key,
        stdin=_read_stdin if options.api_key_stdin else None,
        variable=options.api_key_env,
        file=options.api_key_file,
        store=options.store,
        settings=settings,
        environ=os.environ,
        prompt=_ask_key if is_interactive() else None,
    )


def _complete(values: dict[str, Any]) -> KimiSettings:
    settings = complete_settings(KimiTable.model_validate(values), os.environ)
    assert settings is not None, "a table has its defaults"
    return settings


def _read_temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise ConfigError("--temperature is not between 0 and 2", hint="for example 0.6, or model")
    return value


def _read_stdin() -> str:
    with interruptible():
        return sys.stdin.readline(1_024)


def _ask_key(question: str) -> str:
    with interruptible():
        return getpass.getpass(question, stream=sys.stderr)
