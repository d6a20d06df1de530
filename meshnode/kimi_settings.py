"""The account that this machine's owner has at a provider of Kimi, or an engine of their own.

Settings hold it as the table `[kimi]` of config.toml, which `meshnode kimi configure` writes. The
commands `meshnode kimi ...` use it, and so does a node whose engine is that provider. The key itself
is never part of it, only a reference (`meshnode.key_references`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from market.decimals import InvalidNumber, format_scaled, parse_scaled
from meshnode.errors import ConfigError
from meshnode.key_references import parse_reference
from meshnode.secret import Secret

Provider = Literal["moonshot", "openrouter", "local"]
Region = Literal["international", "china"]

PROVIDERS: Final[tuple[Provider, ...]] = ("moonshot", "openrouter", "local")
AUTO_MODEL: Final = "auto"
MAX_TOKENS_DEFAULT: Final = 4_096
TIMEOUT_S_DEFAULT: Final = 120
FIRST_TOKEN_TIMEOUT_S_DEFAULT: Final = 60
CAP_UDOLLAR_MAX: Final = 1_000_000 * 10**6
USD_PLACES: Final = 6

_MOONSHOT_URLS: Final[Mapping[Region, str]] = {
    "international": "https://api.moonshot.ai/v1",
    "china": "https://api.moonshot.cn/v1",
}
_OPENROUTER_URL: Final = "https://openrouter.ai/api/v1"
_VARIABLES: Final[Mapping[Provider, tuple[str, ...]]] = {
    "moonshot": ("MOONSHOT_API_KEY", "KIMI_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
    "local": (),
}
_KEY_CHARS_MIN: Final = 16
_FOREIGN_PREFIXES: Final = (("sk-ant-", "Anthropic"), ("sk-proj-", "OpenAI"))


def _check_base_url(text: str) -> str:
    check_base_url(text)
    return text


def _check_reference(text: str) -> str:
    parse_reference(text, setting="api_key")
    return text


def _check_cap(text: str) -> str:
    read_usd(text, "daily_cap_usd")
    return text


_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class KimiTable(BaseModel):
    """The table `[kimi]` as it is written; what is absent has its default."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    provider: Provider = "moonshot"
    region: Region | None = None
    base_url: Annotated[_Line, AfterValidator(_check_base_url)] | None = None
    api_key: Annotated[str, AfterValidator(_check_reference)] | None = None
    model: _Line | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    timeout_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    first_token_timeout_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    daily_cap_usd: Annotated[str, AfterValidator(_check_cap)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KimiSettings:
    """The account with everything filled in."""

    provider: Provider
    base_url: str
    region: Region = "international"
    """Which of the two Kimi platforms; each has accounts, keys and a currency of its own."""
    api_key: str = ""
    """A reference; empty for an engine that asks for no key."""
    model: str = AUTO_MODEL
    max_tokens: int = MAX_TOKENS_DEFAULT
    """Longest answer. Providers count it against the rate limit in advance, so there is always one."""
    temperature: float | None = None
    """None leaves it to the model: newer ones accept no other than their own."""
    timeout_s: int = TIMEOUT_S_DEFAULT
    first_token_timeout_s: int = FIRST_TOKEN_TIMEOUT_S_DEFAULT
    daily_cap_udollar: int | None = None
    """What a day (UTC) may cost at most, in micro-dollars; None for no cap."""
    configured: bool = True
    """Whether somebody has said so, or it is what the environment suggests."""

    @property
    def official(self) -> bool:
        """Whether the provider's own service is asked, not something that stands in for it."""
        return self.base_url in (*_MOONSHOT_URLS.values(), _OPENROUTER_URL)


def complete_settings(table: KimiTable | None, environ: Mapping[str, str]) -> KimiSettings | None:
    """The account of a table; without one, what the environment has a key for, if anything."""
    configured = table is not None
    if table is None:
        provider = suggest_provider(environ)
        if provider is None:
            return None
        table = KimiTable(provider=provider)
    return KimiSettings(
        provider=table.provider,
        base_url=table.base_url or get_base_url(table.provider, table.region),
        region=table.region or "international",
        api_key=table.api_key or suggest_reference(table.provider, environ),
        model=table.model or AUTO_MODEL,
        max_tokens=table.max_tokens or MAX_TOKENS_DEFAULT,
        temperature=table.temperature,
        timeout_s=table.timeout_s or TIMEOUT_S_DEFAULT,
        first_token_timeout_s=table.first_token_timeout_s or FIRST_TOKEN_TIMEOUT_S_DEFAULT,
        daily_cap_udollar=None
        if table.daily_cap_usd is None
        else read_usd(table.daily_cap_usd, "daily_cap_usd"),
        configured=configured,
    )


def suggest_provider(environ: Mapping[str, str]) -> Provider | None:
    """The first provider whose usual variable holds a key."""
    for provider in PROVIDERS:
        if any(environ.get(name) for name in _VARIABLES[provider]):
            return provider
    return None


def suggest_reference(provider: Provider, environ: Mapping[str, str]) -> str:
    """A reference to the provider's usual variable; empty where the provider needs no key.

    The variable that is set is preferred, so that an error names one that people know.
    """
    names = _VARIABLES[provider]
    chosen = next((name for name in names if environ.get(name)), names[0] if names else "")
    return f"env:{chosen}" if chosen else ""


def get_base_url(provider: Provider, region: Region | None = None) -> str:
    """Where a provider is asked. Raises `ConfigError` for a local engine, which only people know."""
    if provider == "moonshot":
        return _MOONSHOT_URLS[region or "international"]
    if provider == "openrouter":
        return _OPENROUTER_URL
    raise ConfigError(
        "the provider 'local' needs the address of its engine",
        hint="for example --base-url http://127.0.0.1:8000/v1",
    )


def check_base_url(text: str) -> None:
    """Refuse an address that no key should be sent to. Raises `ConfigError`."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        valid = parts.scheme in ("http", "https") and bool(host) and (parts.port or 1) > 0
    except ValueError:
        host, valid = "", False
        parts = urlsplit("")
    if not valid or parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "base_url is not the plain http or https address of an engine",
            hint="give it like http://127.0.0.1:8000/v1",
        )
    if host == "api.kimi.com" or host.endswith(".kimi.com"):
        raise ConfigError(
            "base_url is that of the Kimi Code subscription, which is for coding agents only",
            hint="use the Kimi platform: https://api.moonshot.ai/v1, with a key of its own",
        )


def refuse_key_in_clear(base_url: str) -> None:
    """Refuse to send a key over a network unencrypted. Raises `ConfigError`."""
    parts = urlsplit(base_url)
    if parts.scheme == "http" and not is_private_host(parts.hostname or ""):
        raise ConfigError(
            "a key would travel unencrypted to the http address in base_url",
            hint="use its https address",
        )


def is_private_host(host: str) -> bool:
    """Whether a host is this machine or one of an own network."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def check_key(provider: Provider, key: Secret) -> None:
    """Refuse what cannot be a key of this provider, above all one of another service.

    Raises `ConfigError`, which never quotes the key.
    """
    text = key.reveal()
    if text.lower().startswith("bearer ") or text[:1] in "\"'":
        raise ConfigError("the key has more around it than a key", hint="give the key alone")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError("the key holds characters that no key has", hint="copy it again")
    if provider == "local":
        return
    if text.startswith("sk-kimi-"):
        raise ConfigError(
            "this is a key of the Kimi Code subscription, which is for coding agents only",
            hint="make a key of the Kimi platform at https://platform.kimi.ai (it is billed apart)",
        )
    for prefix, owner in _FOREIGN_PREFIXES:
        if text.startswith(prefix):
            raise ConfigError(f"this is a key of {owner}", hint=_describe_source(provider))
    if provider == "moonshot" and text.startswith("sk-or-"):
        raise ConfigError(
            "this is a key of OpenRouter, not of the Kimi platform",
            hint="use --provider openrouter with it",
        )
    if provider == "openrouter" and not text.startswith("sk-or-"):
        raise ConfigError("a key of OpenRouter begins with sk-or-", hint=_describe_source(provider))
    if not text.startswith("sk-") or len(text) < _KEY_CHARS_MIN:
        raise ConfigError(
            "a key of the Kimi platform begins with sk- and is longer",
            hint=_describe_source(provider),
        )


def _describe_source(provider: Provider) -> str:
    if provider == "openrouter":
        return "make one at https://openrouter.ai/settings/keys"
    return "make one at https://platform.kimi.ai, or https://platform.kimi.com in China"


def make_engine_options(settings: KimiSettings) -> dict[str, Any]:
    """The account as options of the engine of the same name."""
    options: dict[str, Any] = {
        "base_url": settings.base_url,
        "answer_tokens": settings.max_tokens,
        "total_timeout_ms": settings.timeout_s * 1_000,
        "first_token_timeout_ms": min(settings.first_token_timeout_s, settings.timeout_s) * 1_000,
    }
    if settings.provider == "moonshot":
        options["region"] = settings.region
    if settings.api_key:
        options["api_key"] = settings.api_key
    if settings.model != AUTO_MODEL:
        options["model"] = settings.model
    return options


def read_usd(text: str, what: str) -> int:
    """Micro-dollars of an amount like '0.25' or '$3'. Raises `ConfigError`."""
    try:
        udollar = parse_scaled(text.strip().removeprefix("$"), USD_PLACES, what)
    except InvalidNumber as error:
        raise ConfigError(error.message, hint="write dollars, like 0.25") from None
    if udollar > CAP_UDOLLAR_MAX:
        raise ConfigError(f"{what} is more than can be meant", hint="write dollars, like 0.25")
    return udollar


def format_usd(udollar: int) -> str:
    """Micro-dollars as an exact number of dollars, cents always shown."""
    whole, _, fraction = format_scaled(udollar, USD_PLACES).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
