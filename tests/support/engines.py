"""Helpers for everything that reads an engine's chunks."""

from __future__ import annotations

from typing import Any

from tests.support.chunks import text_of


def ask(content: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **fields}


async def read_chunks(engine, request) -> list[dict[str, Any]]:
    return [chunk async for chunk in engine.chat(request)]


async def read_text(engine, request) -> str:
    return "".join(text_of(chunk) for chunk in await read_chunks(engine, request))


async def drain(answer) -> None:
    async for _ in answer:
        pass
