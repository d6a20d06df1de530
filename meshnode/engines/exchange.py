"""One attempt: a request sent, its answer read under all time-outs, its chunks made whole."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from meshnode.engines.base import EngineError
from meshnode.engines.chunks import choices_of, has_content
from meshnode.engines.openai_stream import CompletionStream, chunk_of_completion, decode_object
from meshnode.engines.reasoning_memory import ReasoningCollector
from meshnode.engines.rules.draft import MESH_FIELD
from meshnode.engines.rules.tools import offered_names
from meshnode.engines.tool_markers import MarkerReader
from meshnode.engines.upstream_errors import error_from_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import aiohttp

    from meshnode.engines.base import Chunk
    from meshnode.engines.http_backend import HttpBackend
    from meshnode.engines.http_options import HttpEngineOptions
    from meshnode.engines.metering import Meter
    from meshnode.engines.reasoning_memory import ReasoningMemory
    from meshnode.engines.rules.draft import Draft

TAIL_TIMEOUT_MS = 2_000
"""How long usage may follow the finish before the answer counts as whole without it."""
HELD_MAX = 64
"""Chunks kept back: before the first token, so that another attempt stays possible, and after the
finish, so that the last one can carry the notes."""


class Exchange:
    """Sends one body and reads one answer."""

    def __init__(
        self,
        backend: HttpBackend,
        options: HttpEngineOptions,
        draft: Draft,
        meter: Meter,
        memory: ReasoningMemory,
    ) -> None:
        self._backend = backend
        self._options = options
        self._draft = draft
        self._meter = meter
        self._memory = memory
        self._stream = CompletionStream(
            backend.label,
            secret=options.api_key,
            answer_bytes_max=options.answer_bytes_max,
            event_bytes_max=options.event_bytes_max,
        )
        self._markers = MarkerReader(offered_names(draft.get("tools")))
        self._reasoning = ReasoningCollector()
        self._finishing = False

    @property
    def tool_parser_broken(self) -> bool:
        """Whether tool calls came as text."""
        return self._markers.leaked

    async def run(self, body: bytes, deadline: float) -> AsyncGenerator[Chunk, None]:
        """The chunks of the answer. Raises `EngineError`."""
        first_token = min(_after(self._options.first_token_timeout_ms), deadline)
        response = await self._backend.send(
            "POST", "chat/completions", deadline=first_token, body=body
        )
        held: list[Chunk] = []
        try:
            self._meter.take_headers(response.headers)
            async with aclosing(self._read(response, first_token, deadline)) as chunks:
                async for raw in chunks:
                    held.append(self._take(raw))
                    ends = self._stream.complete and self._finishing
                    if (ends or not self._meter.has_begun) and len(held) < HELD_MAX:
                        continue
                    for chunk in held:
                        yield chunk
                    held.clear()
        finally:
            response.close()
        asked = self._draft.asked
        if isinstance(asked, list):
            self._memory.keep(asked, self._reasoning.calls, self._reasoning.reasoning)
        if held:
            held[-1] = self._sign_off(held[-1])
        for chunk in held:
            yield chunk

    def _take(self, raw: Chunk) -> Chunk:
        chunk = self._markers.take(raw)
        self._meter.take(chunk, now_ms=int(asyncio.get_running_loop().time() * 1_000))
        self._reasoning.take(chunk)
        # The stream may be read further than what is passed on here.
        self._finishing |= any(choice.get("finish_reason") for choice in choices_of(chunk))
        return chunk

    def _sign_off(self, chunk: Chunk) -> Chunk:
        """The last chunk, with what there is to say about the whole answer."""
        if self._markers.leaked:
            self._draft.note(
                "tool_parser_broken", "tool_calls", "read from text: the engine's parser failed"
            )
        facts: dict[str, Any] = {
            "request_id": self._meter.request_id,
            "trace_id": self._meter.trace_id,
            "cost_udollar": self._meter.cost_udollar,
            "notes": [note.as_json() for note in self._draft.notes],
        }
        told = {name: fact for name, fact in facts.items() if fact not in (None, "", [])}
        if not told:
            return chunk
        mesh = chunk.get(MESH_FIELD)
        return chunk | {MESH_FIELD: (mesh if isinstance(mesh, dict) else {}) | {"engine": told}}

    async def _read(
        self, response: aiohttp.ClientResponse, first_token: float, deadline: float
    ) -> AsyncGenerator[Chunk, None]:
        if response.content_type == "application/json":
            yield await self._read_completion(response, deadline)
        wait_until, begun = first_token, False
        waits_for = "the first token"
        while data := await self._read_more(response, wait_until, waits_for):
            chunks = self._stream.feed(data)
            for chunk in chunks:
                begun = begun or has_content(chunk)
                yield chunk
            if self._stream.failure is not None:
                raise self._stream.failure
            if self._stream.complete:
                wait_until = min(_after(TAIL_TIMEOUT_MS), deadline)
            elif begun and chunks:
                wait_until = min(_after(self._options.idle_timeout_ms), deadline)
                waits_for = "the next chunk"
        for chunk in self._stream.finish():
            yield chunk

    async def _read_completion(self, response: aiohttp.ClientResponse, deadline: float) -> Chunk:
        """The whole answer of a server that does not stream."""
        body = await self._backend.read_whole(
            response, deadline=deadline, size_max_bytes=self._options.answer_bytes_max
        )
        completion = decode_object(body, self._backend.label)
        if completion.get("error"):
            raise error_from_object(self._backend.label, completion, secret=self._options.api_key)
        chunk = chunk_of_completion(completion, self._backend.label)
        self._stream.accept(chunk)
        return chunk

    async def _read_more(
        self, response: aiohttp.ClientResponse, wait_until: float, waits_for: str
    ) -> bytes:
        """The next bytes; empty at the end. A loss after the finish costs nothing: it is the end."""
        if self._stream.done:
            return b""
        try:
            return await self._backend.read(response, deadline=wait_until, waits_for=waits_for)
        except EngineError:
            if self._stream.complete:
                return b""
            raise


def _after(timeout_ms: int) -> float:
    return asyncio.get_running_loop().time() + timeout_ms / 1000
