"""The Kimi platform of Moonshot AI, in both its regions."""

from __future__ import annotations

from types import MappingProxyType

from meshnode.engines.http_options import MoonshotOptions
from meshnode.engines.openai_compatible import HttpEngine

__all__ = ["MoonshotEngine", "MoonshotOptions"]

BASE_URLS = MappingProxyType(
    {
        "international": "https://api.moonshot.ai/v1",
        "china": "https://api.moonshot.cn/v1",
    }
)
"""Two services with accounts, keys and currencies of their own: a key of one is refused by the other."""


class MoonshotEngine(HttpEngine):
    """A client of it."""

    name = "moonshot"

    def __init__(self, options: MoonshotOptions) -> None:
        super().__init__(options, base_url=options.base_url or BASE_URLS[options.region])
