"""OpenRouter: many providers' models behind one address and one account."""

from __future__ import annotations

from meshnode.engines.http_options import OpenRouterOptions
from meshnode.engines.openai_compatible import HttpEngine

__all__ = ["OpenRouterEngine", "OpenRouterOptions"]


class OpenRouterEngine(HttpEngine):
    """A client of it."""

    name = "openrouter"

    def __init__(self, options: OpenRouterOptions) -> None:
        super().__init__(options, base_url=options.base_url)
