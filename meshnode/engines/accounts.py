"""Money of a provider's account, read without trusting its shape, and kept in whole millionths."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from urllib.parse import urlsplit

from meshnode.errors import ConfigError

MICRO = 1_000_000
AMOUNT_MAX = 10**15

_ACCOUNT_HOSTS = (
    "anthropic.com",
    "googleapis.com",
    "kimi.com",
    "moonshot.ai",
    "moonshot.cn",
    "openai.azure.com",
    "openai.com",
    "openrouter.ai",
)


def read_micro(value: object) -> int | None:
    """An amount as providers write it, a number or a text, in millionths rounded down."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value)) * MICRO
    except InvalidOperation:
        return None
    if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
        return None
    return int(amount.to_integral_value(rounding="ROUND_FLOOR"))


def check_shareable(base_url: str) -> None:
    """Refuse to share what is an account at a provider, whatever it was declared to be."""
    try:
        host = (urlsplit(base_url).hostname or "").rstrip(".")
    except ValueError:
        return  # no address at all: refused where it is read
    if any(host == known or host.endswith(f".{known}") for known in _ACCOUNT_HOSTS):
        raise ConfigError(
            f"{host} is an account at a provider, which serves its owner only",
            hint="share engines that you host yourself",
        )
