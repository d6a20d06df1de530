"""Ready clients of OpenAI's SDK, for whoever has it installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from ssl import SSLContext  # noqa: TC004 - annotations are not evaluated

    from openai import AsyncOpenAI, OpenAI

OPENAI_PATH: Final = "/v1"


@dataclass(frozen=True, slots=True)
class OpenAIDoor:
    """Where a node is found by programs made for OpenAI's interface."""

    base_url: str
    token: str = field(repr=False)
    trust: SSLContext | None = field(default=None, repr=False)
    """What its certificate is checked against; None where it is asked without TLS."""

    @property
    def options(self) -> dict[str, Any]:
        """How HTTP is spoken to a node of this machine: proxies are for the world outside."""
        return {"trust_env": False, "verify": True if self.trust is None else self.trust}


def make_openai_client(door: OpenAIDoor) -> AsyncOpenAI:
    """An asynchronous client. Raises `ConfigError` where the SDK is not installed."""
    openai = _import_sdk()
    http = openai.DefaultAsyncHttpxClient(**door.options)
    client: AsyncOpenAI = openai.AsyncOpenAI(
        base_url=door.base_url, api_key=door.token, http_client=http
    )
    return client


def make_blocking_openai_client(door: OpenAIDoor) -> OpenAI:
    """A blocking client. Raises `ConfigError` where the SDK is not installed."""
    openai = _import_sdk()
    http = openai.DefaultHttpxClient(**door.options)
    client: OpenAI = openai.OpenAI(base_url=door.base_url, api_key=door.token, http_client=http)
    return client


def _import_sdk() -> Any:
    try:
        return import_module("openai")
    except ImportError:
        raise ConfigError(
            "node.openai() needs the package openai", hint="pip install openai"
        ) from None
