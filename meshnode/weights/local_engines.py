"""Engines that run on this machine already, found where they usually listen."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError, ModelInfo
from meshnode.engines.http_backend import HttpBackend
from meshnode.engines.model_list import read_models
from meshnode.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence


USUAL_URLS: Final = (
    "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:8080/v1",
    "http://127.0.0.1:11434/v1",
    "http://127.0.0.1:30000/v1",
    "http://127.0.0.1:1234/v1",
)
"""vLLM and others, llama.cpp, Ollama, SGLang, LM Studio."""
TIMEOUT_S: Final = 2.0
LIST_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FoundEngine:
    """An engine that answers, and what it serves."""

    base_url: str
    models: list[ModelInfo]


async def find_engines(urls: Sequence[str] = USUAL_URLS) -> list[FoundEngine]:
    """Ask all addresses at once, without any key; those that do not answer as engines are left out."""
    found = await asyncio.gather(*(_ask(url) for url in dict.fromkeys(urls)))
    return [engine for engine in found if engine is not None]


async def _ask(url: str) -> FoundEngine | None:
    backend = HttpBackend(
        url, Secret(""), connections_max=1, connect_timeout_ms=int(TIMEOUT_S * 1_000)
    )
    backend.open()
    try:
        listing = await backend.fetch_object(
            "GET",
            "models",
            deadline=asyncio.get_running_loop().time() + TIMEOUT_S,
            size_max_bytes=LIST_BYTES_MAX,
        )
        return FoundEngine(url, read_models(listing, backend.label))
    except EngineError:
        return None
    finally:
        await backend.close()
