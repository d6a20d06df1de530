"""A small stand-in for a provider of Kimi in a thread of its own, for commands run as people do.

It speaks as much of the dialects as the commands need: models, balance or key, and answers that say
what was asked. Every request is remembered with its headers.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "sk-canaryPlatform0123456789abcdef"
OPENROUTER_KEY = "sk-or-v1-canaryOpenRouter0123456789abcdef"
MODELS: list[dict[str, Any]] = [
    {"id": "moonshot-v1-8k", "context_length": 8_192},
    {"id": "kimi-k2.6", "context_length": 262_144},
    {"id": "kimi-k2.7-code", "context_length": 262_144},
]


@dataclass
class KimiProvider:
    """What it says, and what it was asked."""

    keys: tuple[str, ...] = (KEY, OPENROUTER_KEY)
    models: list[dict[str, Any]] = field(default_factory=lambda: list(MODELS))
    balance: Any = 49.58
    text: str = "You said: "
    usage: dict[str, Any] = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 20}
    )
    refusals: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Statuses and errors for the next questions, one each."""
    refusals_later: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """The same, by the number of the question."""
    stalls: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    base_url: str = ""

    def _is_known(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        self.authorizations.append(given)
        return not self.keys or given.removeprefix("Bearer ") in self.keys

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self._is_known(request):
            # A careless provider: it quotes the key.
            given = request.headers.get("Authorization", "")
            error = {"type": "invalid_authentication_error", "message": f"bad key {given}"}
            return web.json_response({"error": error}, status=401)
        match request.path.removeprefix("/v1/"):
            case "models":
                headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "199"}
                listing = {"object": "list", "data": self.models}
                return web.json_response(listing, headers=headers)
            case "users/me/balance":
                data = {
                    "available_balance": self.balance,
                    "voucher_balance": 46.58,
                    "cash_balance": 3,
                }
                return web.json_response({"code": 0, "data": data})
            case "key":
                return web.json_response({"data": {"limit": 10, "limit_remaining": 7.5}})
            case "tokenizers/estimate-token-count":
                return web.json_response({"data": {"total_tokens": 100}})
            case "chat/completions":
                return await self._complete(request)
        return web.json_response({"error": {"message": "no such path"}}, status=404)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        refusal = self.refusals_later.get(len(self.asked))
        if refusal is not None or self.refusals:
            status, error = refusal or self.refusals.pop(0)
            return web.json_response({"error": error}, status=status)
        response = web.StreamResponse(headers={"msh-request-id": f"req-{len(self.asked)}"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        if self.stalls:
            await asyncio.Event().wait()
        for word in (self.text, str(body["messages"][-1]["content"])):
            await response.write(_event(body["model"], {"content": word}))
        last = {"usage": self.usage}
        await response.write(_event(body["model"], {}, "stop", **last) + b"data: [DONE]\n\n")
        await response.write_eof()
        return response


def _event(model: str, delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model}
    return b"data: " + json.dumps({**chunk, "choices": [choice], **more}).encode() + b"\n\n"


@contextmanager
def serve_in_thread(app: web.Application) -> Iterator[str]:
    """Serve an application on a free port from another thread; its address."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    address: list[str] = []
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        address.append(f"http://{host}:{port}")
        started.set()

    def work() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


@contextmanager
def kimi_provider(**options: Any) -> Iterator[KimiProvider]:
    """A running stand-in."""
    provider = KimiProvider(**options)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", provider.handle)
    with serve_in_thread(app) as address:
        provider.base_url = f"{address}/v1"
        yield provider
