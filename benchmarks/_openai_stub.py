"""An engine that costs nothing: a server of OpenAI's chat dialect with answers made beforehand.

    python -m benchmarks._openai_stub PORT

`max_tokens` says how many words an answer has. Words of a stream are written one by one, some
milliseconds apart, so that no hop can take several at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

MODEL = "stub"
WORD = "word "
PAUSE_S = 0.004
TOGETHER_MAX = 16
"""An answer of up to so many words is written at once: it measures requests, not words."""


def make_event(**fields: Any) -> bytes:
    """One chunk as it goes over the wire."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: " + json.dumps({**head, **fields}).encode() + b"\n\n"


def make_delta(delta: dict[str, Any], reason: str | None = None) -> bytes:
    """A chunk with one choice."""
    return make_event(choices=[{"index": 0, "delta": delta, "finish_reason": reason}])


FIRST = make_delta({"role": "assistant", "content": ""})
NEXT = make_delta({"content": WORD})
LAST = make_delta({}, "stop")
DONE = b"data: [DONE]\n\n"


async def complete(request: web.Request) -> web.StreamResponse:
    """Answer with as many words as are asked for."""
    body = await request.json()
    words = body.get("max_tokens") or body.get("max_completion_tokens") or 8
    usage = {"prompt_tokens": 5, "completion_tokens": words, "total_tokens": 5 + words}
    if not body.get("stream"):
        message = {"role": "assistant", "content": WORD * words}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL}
        return web.json_response({**answer, "choices": [choice], "usage": usage})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    end = LAST + make_event(choices=[], usage=usage) + DONE
    if words <= TOGETHER_MAX:
        await response.write(FIRST + NEXT * words + end)
    else:
        await response.write(FIRST)
        for _ in range(words):
            await response.write(NEXT)
            await asyncio.sleep(PAUSE_S)
        await response.write(end)
    await response.write_eof()
    return response


async def list_models(_: web.Request) -> web.Response:
    """The one model."""
    entry = {"id": MODEL, "object": "model", "created": 1, "owned_by": "stub"}
    return web.json_response({"object": "list", "data": [entry]})


async def tell_health(_: web.Request) -> web.Response:
    """What a router that probes its workers asks for."""
    return web.json_response({"status": "ok", "model_path": MODEL, "served_model_name": MODEL})


def make_app() -> web.Application:
    """The server."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", list_models)
    for path in ("/health", "/health_generate", "/get_server_info", "/get_model_info"):
        app.router.add_get(path, tell_health)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
