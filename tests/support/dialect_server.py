"""What the stand-ins of providers share: a key, ids, faults by name, and a record of requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.openai_server import (
    DONE,
    Cut,
    OpenAIServer,
    Pause,
    Script,
    event,
)

HTML_504 = b"<html><head><title>504 Gateway Time-out</title></head></html>"
Step = bytes | Cut | Pause


@dataclass
class DialectServer(OpenAIServer):
    """Answers in a provider's dialect; `fail_with` names the faults of the next requests."""

    key: str = "sk-stand-in-0123456789"
    fail_with: list[str] = field(default_factory=list)
    asked_paths: list[str] = field(default_factory=list)
    usage_place: str = "choice"
    """Where usage stands: 'choice' of the finish, 'top' of that chunk, 'extra' chunk, 'none'."""
    count: int = 0

    def faults(self) -> dict[str, Script]:
        """Faults by name."""
        raise NotImplementedError

    def find_mistake(self, body: dict[str, Any]) -> Script | None:
        """What the provider refuses about a request."""
        raise NotImplementedError

    def write_answer(self, body: dict[str, Any]) -> list[Step]:
        """The events of a good answer."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """The provider's own headers."""
        raise NotImplementedError

    def refuse_key(self) -> Script:
        """What a wrong key is told."""
        raise NotImplementedError

    def _good_answer(self, body: dict[str, Any]) -> Script:
        script = self._choose(body)
        script.headers = self.headers() | script.headers
        return script

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return await self._play(request, self.refuse_key())
        return await super().list_models(request)

    def _choose(self, body: dict[str, Any]) -> Script:
        self.count += 1
        if self.request_headers[-1].get("Authorization") != f"Bearer {self.key}":
            return self.refuse_key()
        if self.fail_with:
            name = self.fail_with.pop(0)
            if name != "ok":
                return self.faults()[name]
        return self.find_mistake(body) or Script([*self.write_answer(body), DONE])

    def chunk(
        self,
        body: dict[str, Any],
        delta: dict[str, Any],
        finish_reason: str | None = None,
        usage: dict[str, Any] | None = None,
    ) -> list[Step]:
        """A chunk, and where usage belongs to it, in the place that was set."""
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        made: dict[str, Any] = {
            "id": f"chatcmpl-{self.count}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
        }
        if usage is None or self.usage_place == "none":
            return [event(made)]
        if self.usage_place == "choice":
            choice["usage"] = usage
        elif self.usage_place == "top":
            made["usage"] = usage
        else:
            return [event(made), event(made | {"choices": [], "usage": usage})]
        return [event(made)]

    def mid_stream(self, *steps: Step) -> Script:
        """An answer that begins well and then goes on otherwise."""
        started = self.chunk({"model": self.models["data"][0]["id"]}, {"content": "Well"})
        return Script([*started, *steps], headers=self.headers())

    async def record(self, request: web.Request) -> None:
        """Remember that a path was asked for."""
        self.asked_paths.append(request.path)


def common_faults(server: DialectServer) -> dict[str, Script]:
    """Faults that any server may have."""
    never = Pause(None)
    comments: list[Step] = [b": still here\n\n", Pause(20)] * 500
    return {
        "html_504": Script([HTML_504], 504, "text/html"),
        "html_200": Script([HTML_504], 200, "text/html"),
        "silent": Script(silent=True),
        "no_first_token": Script([never]),
        "comments_only": Script(comments),
        "stall": server.mid_stream(never),
        "stall_with_comments": server.mid_stream(*comments),
        "cut": server.mid_stream(Cut()),
        "cut_at_once": Script([Cut()]),
        "truncated": server.mid_stream(),
        "malformed": server.mid_stream(b"data: {oops\n\n"),
        "malformed_at_once": Script([b"data: {oops\n\n"]),
    }


def spoken_words(body: dict[str, Any]) -> list[str]:
    """The words of a good answer."""
    last = body["messages"][-1]
    said = str(last.get("content")).split()
    if last.get("partial") or last["role"] == "assistant":
        return [" and", " so", " on."]
    return ["You", " said:", *(" " + word for word in said)]


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def json_script(status: int, payload: Any, **headers: str) -> Script:
    return Script([json.dumps(payload).encode()], status, "application/json", dict(headers))


@asynccontextmanager
async def run_app(server: OpenAIServer, prefix: str, routes: dict[str, Callable[..., Any]]):
    """A running stand-in with further routes: '/path' to a handler of GET and POST."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get(f"{prefix}/models", server.list_models)
    app.router.add_post(f"{prefix}/chat/completions", server.complete)
    for path, handler in routes.items():
        app.router.add_route("*", path, handler)
    # Cancelling the handler is how the server notices that its client hung up.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.base_url = f"http://{host}:{port}{prefix}"
    try:
        yield server
    finally:
        await runner.cleanup()
