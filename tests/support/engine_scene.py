"""An engine connected to a stand-in, and everything it keeps account of."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshnode.engines.base import EngineError
from meshnode.engines.registry import create_engine
from meshnode.engines.usage import UsageRecord


@asynccontextmanager
async def connected(name: str, server: Any, **options: Any):
    """A started engine; keys default to the stand-in's."""
    given = {"base_url": server.base_url} | options
    if hasattr(server, "key"):
        given.setdefault("api_key", server.key)
    engine: Any = create_engine(name, given)
    engine.records = []
    engine.meter(engine.records.append)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def fail(engine: Any, request: dict[str, Any]) -> tuple[EngineError, list[dict[str, Any]]]:
    """The error a request ends with, and the chunks before it."""
    chunks: list[dict[str, Any]] = []

    async def read() -> None:
        async for chunk in engine.chat(request):
            chunks.append(chunk)

    with pytest.raises(EngineError) as caught:
        await read()
    assert "\n" not in str(caught.value)
    return caught.value, chunks


def notes_of(chunks: list[dict[str, Any]]) -> dict[str, str]:
    """The notes of an answer: rule to detail."""
    told = chunks[-1].get("meshnode", {}).get("engine", {})
    return {note["rule"]: note["detail"] for note in told.get("notes", [])}


def only_record(engine: Any) -> UsageRecord:
    record: UsageRecord
    (record,) = engine.records
    return record
