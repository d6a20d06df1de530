"""Any server that speaks the OpenAI chat dialect: vLLM, SGLang, llama.cpp, LiteLLM and the like.

The request goes out as it came in; only `model`, `stream` and `stream_options` are set. Nothing is
retried here: a retry is the router's decision, and hidden ones would count against rate limits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.base import EngineError, EngineFault, ModelInfo
from meshnode.engines.http_backend import HttpBackend
from meshnode.engines.http_options import HttpEngineOptions, OpenAICompatibleOptions
from meshnode.engines.openai_stream import (
    CompletionStream,
    chunk_of_completion,
    decode_object,
    malformed,
)
from meshnode.engines.request import bad_request
from meshnode.engines.slots import SlotGate
from meshnode.engines.upstream_errors import error_from_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from meshnode.engines.base import ChatRequest, Chunk

MODEL_LIST_BYTES_MAX = 4 << 20
MODELS_MAX = 1_000
MODEL_ID_CHARS_MAX = 200


class HttpEngine:
    """A client of one base URL; engines of a known service build on it."""

    name = "http"
    shareable = False
    """Whether other peers' requests may run here: an account serves its owner only."""

    def __init__(self, options: HttpEngineOptions, *, base_url: str) -> None:
        self._options = options
        self._default_model = options.model
        self._gate = SlotGate(self.name, slots=options.slots, waiting_max=options.waiting_max)
        self._backend = HttpBackend(
            base_url,
            options.api_key,
            connections_max=options.slots + 2,  # the model list must not wait behind answers
            connect_timeout_ms=options.connect_timeout_ms,
        )

    @property
    def slots(self) -> int:
        """How many requests run at once before they queue."""
        return self._options.slots

    async def start(self) -> None:
        """Connect and see what the server offers. Raises `EngineError`."""
        self._backend.open()
        try:
            models = await self.models()
        except BaseException:
            await self._backend.close()
            raise
        if not self._default_model and models:
            self._default_model = models[0].id

    async def close(self) -> None:
        """Hang up every request in progress."""
        self._gate.close()
        await self._backend.close()

    async def models(self) -> list[ModelInfo]:
        """What `GET /models` lists, or the configured model where the server has no list."""
        deadline = _after(self._options.first_token_timeout_ms)
        try:
            response = await self._backend.send("GET", "models", deadline=deadline)
        except EngineError as error:
            if error.fault is EngineFault.MODEL_NOT_FOUND and self._options.model:
                return [ModelInfo(id=self._options.model, label=self._options.model)]
            raise
        try:
            body = await self._backend.read_whole(
                response, deadline=deadline, size_max_bytes=MODEL_LIST_BYTES_MAX
            )
        finally:
            response.close()
        return _read_models(decode_object(body, self._backend.label), self._backend.label)

    async def chat(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        """Stream the server's answer; closing this iterator closes the HTTP stream at once."""
        body = self._encode(request)
        async with self._gate.slot():
            deadline = _after(self._options.total_timeout_ms)
            first_byte = min(_after(self._options.first_token_timeout_ms), deadline)
            response = await self._backend.send(
                "POST", "chat/completions", deadline=first_byte, body=body
            )
            stream = self._new_stream()
            try:
                if response.content_type == "application/json":
                    yield await self._read_completion(response, stream, deadline)
                wait_until = first_byte
                while data := await self._read_more(response, stream, wait_until):
                    for chunk in stream.feed(data):
                        yield chunk
                    wait_until = min(_after(self._options.idle_timeout_ms), deadline)
                for chunk in stream.finish():
                    yield chunk
            finally:
                response.close()

    def _new_stream(self) -> CompletionStream:
        return CompletionStream(
            self._backend.label,
            secret=self._options.api_key,
            answer_bytes_max=self._options.answer_bytes_max,
            event_bytes_max=self._options.event_bytes_max,
        )

    async def _read_completion(
        self, response: aiohttp.ClientResponse, stream: CompletionStream, deadline: float
    ) -> Chunk:
        """The whole answer of a server that does not stream."""
        body = await self._backend.read_whole(
            response, deadline=deadline, size_max_bytes=self._options.answer_bytes_max
        )
        completion = decode_object(body, self._backend.label)
        if completion.get("error"):
            raise error_from_object(self._backend.label, completion, secret=self._options.api_key)
        chunk = chunk_of_completion(completion, self._backend.label)
        stream.accept(chunk)
        return chunk

    async def _read_more(
        self, response: aiohttp.ClientResponse, stream: CompletionStream, wait_until: float
    ) -> bytes:
        """The next bytes; empty at the end. A loss after the finish costs nothing: it is the end."""
        if stream.done:
            return b""
        try:
            return await self._backend.read(response, deadline=wait_until)
        except EngineError:
            if stream.complete:
                return b""
            raise

    def _encode(self, request: ChatRequest) -> bytes:
        payload: dict[str, Any] = dict(request) | {"stream": True}
        if payload.get("model") in (None, "", "auto"):
            payload["model"] = self._default_model
        if not payload["model"]:
            raise bad_request("the request names no model, and this engine has no default")
        if self._options.ask_usage:
            given = payload.get("stream_options") or {}
            if not isinstance(given, dict):
                raise bad_request("'stream_options' is not an object")
            payload["stream_options"] = given | {"include_usage": True}
        try:
            body = msgspec.json.encode(payload)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
            raise bad_request("the request is not a JSON object") from None
        if len(body) > self._options.request_bytes_max:
            raise bad_request(
                f"the request has {len(body)} bytes where {self._options.request_bytes_max} may be"
            )
        return body


class OpenAICompatibleEngine(HttpEngine):
    """A server of which nothing is known but its dialect."""

    name = "openai_compatible"

    def __init__(self, options: OpenAICompatibleOptions) -> None:
        super().__init__(options, base_url=options.base_url)
        self.shareable = options.self_hosted


def _after(timeout_ms: int) -> float:
    return asyncio.get_running_loop().time() + timeout_ms / 1000


def _read_models(listing: dict[str, Any], backend: str) -> list[ModelInfo]:
    entries = listing.get("data")
    if not isinstance(entries, list):
        raise malformed(backend, "its model list has no 'data'")
    return [
        _read_model(entry)
        for entry in entries[:MODELS_MAX]
        if isinstance(entry, dict) and _is_model_id(entry.get("id"))
    ]


def _is_model_id(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= MODEL_ID_CHARS_MAX


def _read_model(entry: dict[str, Any]) -> ModelInfo:
    """A model as far as servers agree on how to describe one; `extra` keeps what else they say."""
    meta = entry.get("meta")
    described = entry | (meta if isinstance(meta, dict) else {})
    sizes = (described.get(key) for key in ("context_length", "max_model_len", "n_ctx_train"))
    context = next((size for size in sizes if isinstance(size, int) and size > 0), 0)
    return ModelInfo(id=entry["id"], context_tokens=context, label=entry["id"], extra=entry)
