"""Where settings come from: defaults, then config.toml, then MESHNODE_* variables, then flags.

Each layer is checked on its own, so that an error names the key and the place it was written.
Later layers win; the origin of every value is kept, so that people can be told.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meshnode.config import (
    BLOB_QUOTA_MIB_MAX,
    KEYS_DAYS_MAX,
    MINT_RUV_MAX,
    PROBE_SPEND_URUV_MAX,
    TOKEN_MS_MAX,
    NodeConfig,
    parse_api_address,
)
from meshnode.errors import ConfigError
from meshnode.home import get_default_home
from meshnode.key_references import KeyPlaces, check_reference, parse_reference, read_key
from meshnode.kimi_settings import (
    KimiTable,
    complete_settings,
    make_engine_options,
    suggest_reference,
)
from meshnode.passphrase import PASSPHRASE_VARIABLE
from meshnode.secret import Secret

PREFIX: Final = "MESHNODE_"
HOME_VARIABLE: Final = "MESHNODE_HOME"
CONFIG_BYTES_MAX: Final = 65_536
_SECRET_OPTION: Final = "api_key"  # noqa: S105 - a name
_OTHER_VARIABLES: Final = (HOME_VARIABLE, PASSPHRASE_VARIABLE)
_SECRET_SETTING: Final = f"engine_options.{_SECRET_OPTION}"
_FILE_ONLY: Final = ("kimi",)
"""Tables that only the settings file holds."""
_ACCOUNT_ENGINES: Final = ("moonshot", "openrouter", "local")
_LIST_KEYS: Final = ("listen", "advertise", "rendezvous")
_PATH_KEYS: Final = ("record", "passphrase_file", "api_cert", "api_key_file")

_Name = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Path = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Point = Annotated[str, Field(max_length=256, pattern=r"^/[a-z0-9]+/.+/p2p/[1-9A-HJ-NP-Za-km-z]+$")]
_Multiaddr = Annotated[str, Field(max_length=256, pattern=r"^/[a-z0-9]+/")]
_CONTROL: Final = ("it holds a control character", "leave that out")
_MULTIADDR: Final = ("it is not a multiaddr", "for example /ip4/0.0.0.0/tcp/4001")
_PATTERNS: Final = {
    "name": _CONTROL,
    "network_name": _CONTROL,
    "record": _CONTROL,
    "passphrase_file": _CONTROL,
    "api_cert": _CONTROL,
    "api_key_file": _CONTROL,
    "listen": _MULTIADDR,
    "advertise": _MULTIADDR,
    "rendezvous": (
        "it is not a multiaddr that ends in a peer id",
        "for example /dns4/meet.example.org/tcp/4001/p2p/12D3KooW...",
    ),
    "engine": ("it is no engine's name", "for example echo"),
}
"""Why a text does not match its pattern, and what to do; a pattern itself tells nobody."""


class _Layer(BaseModel):
    """One layer's values; absent keys are left to the layers below."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    name: _Name | None = None
    network_name: _Name | None = None
    listen: Annotated[list[_Multiaddr], Field(min_length=1, max_length=8)] | None = None
    advertise: Annotated[list[_Multiaddr], Field(max_length=8)] | None = None
    mdns: bool | None = None
    rendezvous: Annotated[list[_Point], Field(max_length=16)] | None = None
    serve_rendezvous: bool | None = None
    serve_relay: bool | None = None
    use_relays: bool | None = None
    punch_holes: bool | None = None
    api: str | None = None
    api_insecure: bool | None = None
    api_cert: _Path | None = None
    api_key_file: _Path | None = None
    engine: Annotated[str, Field(pattern=r"^[a-z0-9_\-]{1,64}$")] | None = None
    engine_options: dict[str, Any] | None = None
    serve_free: bool | None = None
    token_ms_max: Annotated[int, Field(ge=0, le=TOKEN_MS_MAX)] | None = None
    probe: bool | None = None
    probe_spend_uruv: Annotated[int, Field(ge=0, le=PROBE_SPEND_URUV_MAX)] | None = None
    rotate_keys_days: Annotated[int, Field(ge=0, le=KEYS_DAYS_MAX)] | None = None
    keep_keys_days: Annotated[int, Field(ge=0, le=KEYS_DAYS_MAX)] | None = None
    share: Literal["full", "digest"] | None = None
    suite: Literal["hybrid", "ed25519"] | None = None
    kind: Literal["mesh", "demo"] | None = None
    mint_ruv: Annotated[int, Field(ge=0, le=MINT_RUV_MAX)] | None = None
    validates: bool | None = None
    prune: bool | None = None
    blob_quota_mib: Annotated[int, Field(ge=0, le=BLOB_QUOTA_MIB_MAX)] | None = None
    record: _Path | None = None
    passphrase_file: _Path | None = None
    host_binding: bool | None = None
    kimi: KimiTable | None = None


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """Settings, and where each of them came from."""

    config: NodeConfig
    origins: Mapping[str, str]
    """By key: 'default', the settings file, an environment variable, or a flag."""
    kimi: KimiTable | None = None
    """The account at a provider, as the settings file has it."""


def locate_home(home: Path | None, environ: Mapping[str, str]) -> Path:
    """The home folder: the flag, then MESHNODE_HOME, then the platform's own place."""
    if home is not None:
        return home.expanduser().absolute()
    text = environ.get(HOME_VARIABLE, "")
    return Path(text).expanduser().absolute() if text else get_default_home()


def load_config(
    home: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Settings from all layers. Raises `ConfigError` naming key, origin and reason.

    `flags` holds what was given on the command line by the name of its key; None counts as absent.
    """
    environ = os.environ if environ is None else environ
    path = locate_home(home, environ)
    values: dict[str, Any] = {}
    origins = {field.name: "default" for field in fields(NodeConfig)}
    origins["home"] = "flag --home" if home else HOME_VARIABLE if environ.get(HOME_VARIABLE) else ""
    origins["home"] = origins["home"] or "default"
    for layer, origin in (
        _read_file_layer(path / "config.toml"),
        *_read_environment_layers(environ),
        *_read_flag_layers(flags or {}),
    ):
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    if "api" in values:
        parse_api_address(values["api"], origin=origins["api"])
    kimi = values.pop("kimi", None)
    _apply_account(values, kimi, environ)
    if values.get("engine_options") and origins["engine_options"] == "default":
        origins["engine_options"] = origins.get("kimi", "environment")
    return LoadedConfig(NodeConfig(home=path, **_convert(values, origins)), origins, kimi)


def resolve_engine_options(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    home: Path | None = None,
    passphrase: Secret | None = None,
) -> dict[str, object]:
    """Options with the key reference replaced by the key behind it.

    Raises `ConfigError`, and `KeystoreError` for an encrypted key that does not open.
    """
    resolved = dict(options)
    reference = resolved.get(_SECRET_OPTION)
    if reference is not None and not isinstance(reference, Secret):
        places = KeyPlaces(environ=environ, home=home, passphrase=passphrase)
        parsed = parse_reference(str(reference), setting=_SECRET_SETTING)
        resolved[_SECRET_OPTION] = read_key(parsed, places, setting=_SECRET_SETTING)
    return resolved


def check_engine_options(
    options: Mapping[str, object], environ: Mapping[str, str], *, home: Path | None
) -> bool:
    """Whether a passphrase is needed for the key of an engine. Raises `ConfigError`.

    Everything about the key that can be known before a passphrase is checked.
    """
    reference = options.get(_SECRET_OPTION)
    if reference is None or isinstance(reference, Secret):
        return False
    parsed = parse_reference(str(reference), setting=_SECRET_SETTING)
    check_reference(parsed, KeyPlaces(environ=environ, home=home), setting=_SECRET_SETTING)
    return parsed.kind == "sealed"


def _apply_account(
    values: dict[str, Any], kimi: KimiTable | None, environ: Mapping[str, str]
) -> None:
    """Let a node whose engine is the configured provider use that account's settings."""
    engine = values.get("engine")
    if engine not in _ACCOUNT_ENGINES:
        return
    options: dict[str, Any] = {}
    if kimi is not None and kimi.provider == engine:
        settings = complete_settings(kimi, environ)
        assert settings is not None, "a table has its defaults"
        options = make_engine_options(settings)
        values["daily_cap_udollar"] = settings.daily_cap_udollar
    elif reference := suggest_reference(engine, environ):
        options = {_SECRET_OPTION: reference}
    values["engine_options"] = options | values.get("engine_options", {})


def _read_file_layer(path: Path) -> tuple[dict[str, Any], str]:
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigError(
                f"{path} is larger than {CONFIG_BYTES_MAX} bytes", hint="it holds settings only"
            )
        values = _parse_toml(data.decode())
    except FileNotFoundError:
        return {}, str(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint="check who owns it"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="correct that line") from None
    return _check_layer(values, str(path), strict=True), str(path)


def _read_environment_layers(environ: Mapping[str, str]) -> list[tuple[dict[str, Any], str]]:
    layers = []
    known = {f"{PREFIX}{key.upper()}": key for key in _Layer.model_fields if key not in _FILE_ONLY}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in _OTHER_VARIABLES:
            continue
        key = known.get(variable)
        if key is None:
            _refuse_typing_error(variable, [*known, *_OTHER_VARIABLES])
        elif environ[variable]:
            value = _parse_text(key, environ[variable], variable)
            layers.append((_check_layer({key: value}, variable, strict=False), variable))
    return layers


def _read_flag_layers(flags: Mapping[str, object]) -> list[tuple[dict[str, Any], str]]:
    layers = []
    for key, value in flags.items():
        if value is None:
            continue
        origin = f"flag --{key.replace('_', '-')}"
        plain = list(value) if isinstance(value, tuple) else value
        plain = str(plain) if isinstance(plain, Path) else plain
        layers.append((_check_layer({key: plain}, origin, strict=True), origin))
    return layers


def _check_layer(values: dict[str, Any], origin: str, *, strict: bool) -> dict[str, Any]:
    try:
        layer = _Layer.model_validate(values, strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"'{key}' (from {origin}) is not a setting", hint=_suggest(key)
            ) from None
        reason, hint = first["msg"], "correct it there"
        if first["type"] == "string_pattern_mismatch":
            reason, hint = _PATTERNS.get(str(first["loc"][0]), _CONTROL)
        raise ConfigError(f"{key} (from {origin}) cannot be used: {reason}", hint=hint) from None
    return {key: value for key, value in layer if value is not None}


def _parse_text(key: str, text: str, variable: str) -> object:
    if key in _LIST_KEYS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if key == "engine_options":
        return _parse_options(text, variable)
    return text


def _parse_options(text: str, variable: str) -> dict[str, Any]:
    """`name=value` pairs with TOML values, separated by commas; bare words are text."""
    options: dict[str, Any] = {}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        if not separator or not name.strip():
            raise ConfigError(
                f"engine_options (from {variable}) is not NAME=VALUE,NAME=VALUE",
                hint="for example delay_ms=5",
            )
        options[name.strip()] = parse_option_value(value.strip())
    return options


def parse_option_value(text: str) -> object:
    """An engine option as typed on a command line: a TOML number or boolean, else text."""
    try:
        return _parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


def _parse_toml(text: str) -> dict[str, Any]:
    """Raises `ValueError`, also for what is nested too deeply for the parser."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse_typing_error(variable: str, known: list[str]) -> None:
    """A variable that nearly is a setting is a slip of the keyboard; others are not ours."""
    close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
    if close:
        raise ConfigError(f"{variable} is not a setting", hint=f"did you mean {close[0]}?")


def _suggest(key: str) -> str:
    close = difflib.get_close_matches(key, list(_Layer.model_fields), n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(_Layer.model_fields)}"


def _convert(values: dict[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    converted = dict(values)
    for key in _LIST_KEYS:
        if key in converted:
            converted[key] = tuple(converted[key])
    for key in _PATH_KEYS:
        if key in converted:
            converted[key] = _locate(converted[key], key, origins[key])
    return converted


def _locate(text: str, key: str, origin: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            f"{key} (from {origin}) names the home of a user who does not exist",
            hint="write the whole path",
        ) from None
