"""Any server that speaks the OpenAI chat dialect, of which nothing else is known.

The request goes out as it came in; only `model`, `stream` and `stream_options` are set. Nothing is
retried here unless that is set: a retry is the router's decision, and hidden ones would count
against rate limits.
"""

from __future__ import annotations

from meshnode.engines.accounts import check_shareable
from meshnode.engines.embeddings import EmbeddingsEngine
from meshnode.engines.http_options import OpenAICompatibleOptions

__all__ = ["OpenAICompatibleEngine", "OpenAICompatibleOptions"]


class OpenAICompatibleEngine(EmbeddingsEngine):
    """A client of one base URL."""

    name = "openai_compatible"
    follows_rules = False

    def __init__(self, options: OpenAICompatibleOptions) -> None:
        if options.self_hosted:
            check_shareable(options.base_url)
        super().__init__(options, base_url=options.base_url)
        self.shareable = options.self_hosted
