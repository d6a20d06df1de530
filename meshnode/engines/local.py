"""An engine that one hosts oneself: vLLM, SGLang, llama.cpp, KTransformers, TensorRT-LLM, LiteLLM."""

from __future__ import annotations

from meshnode.engines.http_options import LocalOptions
from meshnode.engines.openai_compatible import HttpEngine

__all__ = ["LocalEngine", "LocalOptions"]


class LocalEngine(HttpEngine):
    """A client of it."""

    name = "local"

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options, base_url=options.base_url)
        self.shareable = options.share and options.kind != "litellm"
