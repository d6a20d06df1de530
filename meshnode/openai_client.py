"""A ready client of OpenAI's SDK, for whoever has it installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from openai import AsyncOpenAI

OPENAI_PATH: Final = "/v1"


def make_openai_client(
    base_url: str, api_key: str, *, trust: ssl.SSLContext | None = None
) -> AsyncOpenAI:
    """A client of this address. Raises `ConfigError` where the SDK is not installed."""
    try:
        import openai
    except ImportError:
        raise ConfigError(
            "node.openai() needs the package openai", hint="pip install openai"
        ) from None
    # Proxies of the environment are for the world outside, not for a node of this machine.
    http = openai.DefaultAsyncHttpxClient(trust_env=False, verify=True if trust is None else trust)
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, http_client=http)
