"""A stand-in for servers of the OpenAI chat dialect, over a real socket, with faults on demand."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "stand-in"
DONE = b"data: [DONE]\n\n"


class Cut:
    """A step that resets the connection."""


@dataclass
class Pause:
    """A step that waits; None waits for ever."""

    delay_ms: int | None = None


@dataclass
class Script:
    """One answer: a status and headers, then steps."""

    steps: list[bytes | Cut | Pause] = field(default_factory=list)
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    """Whether not even the headers are sent."""


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    choice |= extra.pop("choice", {})
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": MODEL,
            "choices": [choice],
            **extra,
        }
    )


def text(content: str) -> bytes:
    return chunk({"content": content})


def refusal(status: int, body: Any, **headers: str) -> Script:
    return Script([json.dumps(body).encode()], status, "application/json", {**headers})


@dataclass
class OpenAIServer:
    """Answers well by default, word by word; `scripts` come first, one per request."""

    delay_ms: int = 0
    scripts: list[Script] = field(default_factory=list)
    models: Any = field(default_factory=lambda: {"object": "list", "data": [{"id": MODEL}]})
    models_script: Script | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    request_headers: list[dict[str, str]] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    client_gone: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        if self.models_script is not None:
            return await self._play(request, self.models_script)
        return web.json_response(self.models)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.request_headers.append(dict(request.headers))
        self.asked.set()
        try:
            script = self.scripts.pop(0) if self.scripts else self._good_answer(body)
            return await self._play(request, script)
        except (asyncio.CancelledError, ConnectionError):
            self.client_gone.set()
            raise

    def _good_answer(self, body: dict[str, Any]) -> Script:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            return refusal(400, {"error": {"type": "invalid_request_error", "message": "empty"}})
        if body["model"] != MODEL:
            return refusal(404, {"error": {"code": "model_not_found", "message": "no such model"}})
        words = ["You", " said:", *(" " + word for word in str(messages[-1]["content"]).split())]
        limit = body.get("max_tokens") or len(words)
        steps: list[bytes | Cut | Pause] = [chunk({"role": "assistant", "content": ""})]
        for word in words[:limit]:
            steps += [Pause(self.delay_ms), text(word)]
        steps.append(chunk({}, "length" if limit < len(words) else "stop"))
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 5, "completion_tokens": min(limit, len(words))}
            steps.append(event({"id": "chatcmpl-1", "choices": [], "usage": usage}))
        return Script([*steps, DONE])

    async def _play(self, request: web.Request, script: Script) -> web.StreamResponse:
        if script.silent:
            await asyncio.Event().wait()
        response = web.StreamResponse(status=script.status, headers=script.headers)
        response.content_type = script.content_type
        await response.prepare(request)
        for step in script.steps:
            match step:
                case bytes():
                    await response.write(step)
                case Pause(None):
                    await asyncio.Event().wait()
                case Pause(delay_ms):
                    await asyncio.sleep((delay_ms or 0) / 1000)
                case Cut():
                    assert request.transport is not None
                    request.transport.abort()
                    return response
        await response.write_eof()
        return response


@asynccontextmanager
async def openai_server(**options: Any):
    """A running stand-in."""
    server = OpenAIServer(**options)
    app = web.Application()
    app.router.add_get("/v1/models", server.list_models)
    app.router.add_post("/v1/chat/completions", server.complete)
    # Cancelling the handler is how the server notices that its client hung up.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.base_url = f"http://{host}:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
