"""Answers that go on: begun once, written in batches, ended with the request."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec
from aiohttp import web

from meshnode.gateway.guard import STREAMING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

ItemT = TypeVar("ItemT")

EVENTS_TYPE: Final = "text/event-stream"
PING_INTERVAL_S: Final = 15
EVENTS_AT_ONCE: Final = 256


async def begin_stream(request: web.Request, content_type: str) -> web.StreamResponse:
    """Answer piece by piece from here on."""
    response = web.StreamResponse(
        headers={"Content-Type": content_type, "Cache-Control": "no-store"}
    )
    request[STREAMING] = True
    await response.prepare(request)
    return response


async def answer_events(
    request: web.Request, items: AsyncIterator[ItemT], encode: Callable[[ItemT], bytes]
) -> web.StreamResponse:
    """Answer with server-sent events until the items end or the client is gone."""
    async with (
        closing_items(items) as events,
        aclosing(in_batches(events, PING_INTERVAL_S)) as batches,
    ):
        response = await begin_stream(request, EVENTS_TYPE)
        await response.write(b": connected\n\n")
        async for batch in batches:
            lines = [encode(event) for event in batch]
            await response.write(b"".join(lines) or b": ping\n\n")
        await response.write_eof()
        return response


def encode_event(kind: str, data: dict[str, Any], *, position: int | None) -> bytes:
    """One server-sent event; with a position its reader can go on behind it later."""
    lines = [b"event: %s" % kind.encode(), b"data: %s" % msgspec.json.encode(data)]
    if position is not None:
        lines.insert(0, b"id: %d" % position)
    return b"\n".join(lines) + b"\n\n"


def read_position(request: web.Request, after: int | None) -> int | None:
    """The last commit that a client has dealt with, as it says or as its browser remembers."""
    last = request.headers.get("Last-Event-ID", "")
    # Anything else in that header is not ours: a client that never read a commit sends none.
    return int(last) if after is None and last.isascii() and last.isdecimal() else after


async def in_batches(
    items: AsyncIterator[ItemT], pause_s: float
) -> AsyncGenerator[list[ItemT], None]:
    """All items that are there; an empty list whenever none came for a while.

    A busy node gives a reader few turns, so each turn takes as many as there are.
    """
    batch: list[ItemT] = []
    news, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        try:
            async for item in items:
                batch.append(item)
                news.set()
                if len(batch) >= EVENTS_AT_ONCE:
                    room.clear()
                    await room.wait()
        finally:
            news.set()

    reader = asyncio.create_task(read(), name="events")
    try:
        while batch or not reader.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await news.wait()
            news.clear()
            taken = batch.copy()
            batch.clear()
            room.set()
            if taken or not reader.done():
                yield taken
        await reader
    finally:
        reader.cancel()
        await asyncio.wait([reader])


def closing_items(items: AsyncIterator[ItemT]) -> aclosing[AsyncGenerator[ItemT, None]]:
    """Close a node's iterator with the request: that is what ends the work behind it."""
    return aclosing(cast("AsyncGenerator[ItemT, None]", items))
