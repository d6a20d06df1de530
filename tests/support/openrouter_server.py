"""A stand-in for OpenRouter, after its documentation, with its faults on demand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.dialect_server import (
    DialectServer,
    Step,
    common_faults,
    json_script,
    run_app,
    spoken_words,
)
from tests.support.openai_server import Pause, Script, event

INSTRUCT = "moonshotai/kimi-k2-0905"
THINKER = "moonshotai/kimi-k2.6"
OTHER = "somebody/some-model"
COMMENT = b": OPENROUTER PROCESSING\n\n"


def error(code: int, message: str, metadata: Any = None, **headers: str) -> Script:
    body: dict[str, Any] = {"code": code, "message": message}
    if metadata is not None:
        body["metadata"] = metadata
    return json_script(code, {"error": body}, **headers)


def listing(*ids: str) -> dict[str, Any]:
    return {
        "data": [
            {
                "id": name,
                "name": name,
                "context_length": 262_144,
                "supported_parameters": ["tools", "temperature"] if name != OTHER else [],
                "pricing": {"prompt": "0.00000095", "completion": "0.000004"},
            }
            for name in ids
        ]
    }


@dataclass
class OpenRouterServer(DialectServer):
    """`account` is what `GET /key` tells."""

    models: Any = field(default_factory=lambda: listing(INSTRUCT))
    usage_place: str = "extra"
    account: dict[str, Any] = field(
        default_factory=lambda: {
            "label": "sk-or-v1-abc...123",
            "limit": 10,
            "limit_reset": None,
            "limit_remaining": 7.5,
            "usage": 2.5,
            "byok_usage": 0,
            "is_free_tier": False,
        }
    )

    def headers(self) -> dict[str, str]:
        return {"X-Generation-Id": f"gen-{self.count}"}

    def refuse_key(self) -> Script:
        return error(401, "No auth credentials found")

    def faults(self) -> dict[str, Script]:
        flagged = {"reasons": ["violence"], "flagged_input": "..."}
        reset = {"X-RateLimit-Reset": "1795298405000", "Date": "Sat, 21 Nov 2026 22:00:00 GMT"}
        broken = {
            "id": "gen-1",
            "object": "chat.completion.chunk",
            "model": THINKER,
            "provider": "Somebody",
            "error": {"code": 502, "message": "Provider disconnected"},
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        }
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        refused = {"code": 429, "message": "Provider is rate limited"}
        only_choice = {"choices": [choice | {"error": refused}]}
        return common_faults(self) | {
            "bad_request": error(400, "Input must have at least 1 token."),
            "credits": error(402, "Insufficient credits. Add more using https://openrouter.ai"),
            "moderation": error(403, "Your input was flagged by moderation", flagged),
            "forbidden": error(403, "This key may not use this model"),
            "not_found": error(404, "No endpoints found for this model"),
            "timeout": error(408, "Request timed out"),
            "rate_limit": error(429, "Rate limit exceeded: free-models-per-min", **reset),
            "bad_provider": error(502, "Provider returned error", {"provider_name": "Somebody"}),
            "no_provider": error(503, "No instances available"),
            "error_in_stream": self.mid_stream(event(broken)),
            "error_in_choice": self.mid_stream(event(only_choice)),
            "error_in_200": json_script(200, {"error": {"code": 502, "message": "oops"}}),
        }

    def find_mistake(self, body: dict[str, Any]) -> Script | None:
        if body.get("model") not in [model["id"] for model in self.models["data"]]:
            return error(404, f"No endpoints found for {body.get('model')}")
        if not body.get("messages"):
            return error(400, "Input required: specify messages")
        if "meshnode" in body or "thinking" in body:
            return error(400, "Unrecognized field")
        return None

    def write_answer(self, body: dict[str, Any]) -> list[Step]:
        steps: list[Step] = [COMMENT, *self.chunk(body, {"role": "assistant", "content": ""})]
        thinks = body["model"] == THINKER and body.get("reasoning") != {"enabled": False}
        if thinks:
            detail = {"type": "reasoning.text", "text": "Hm.", "format": "unknown", "index": 0}
            steps += self.chunk(body, {"reasoning": "Hm.", "reasoning_details": [detail]})
        asked = str(body["messages"][-1].get("content"))
        usage: dict[str, Any] = {
            "prompt_tokens": 19,
            "completion_tokens": 9,
            "total_tokens": 28,
            "cost": 0.00001234,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 4 if thinks else 0},
        }
        if body.get("tools") and asked.startswith("call "):
            name = asked.removeprefix("call ")
            function = {"name": name, "arguments": '{"city": "Paris"}'}
            call = {"index": 0, "id": "call_1", "type": "function", "function": function}
            steps += self.chunk(body, {"tool_calls": [call]})
            return steps + self.chunk(body, {}, "tool_calls", usage)
        words = spoken_words(body)
        limit = body.get("max_tokens") or len(words)
        for word in words[:limit]:
            steps += [Pause(self.delay_ms), *self.chunk(body, {"content": word}), COMMENT]
        usage["completion_tokens"] = min(limit, len(words))
        finish = "length" if limit < len(words) else "stop"
        return steps + self.chunk(body, {}, finish, usage)

    async def tell_key(self, request: web.Request) -> web.StreamResponse:
        await self.record(request)
        return web.json_response({"data": self.account})

    async def embed(self, request: web.Request) -> web.StreamResponse:
        await self.record(request)
        body = await request.json()
        self.requests.append(body)
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}
        return web.json_response(
            {"object": "list", "data": [vector], "model": body["model"], "usage": {}}
        )


@asynccontextmanager
async def openrouter_server(**options: Any):
    """A running stand-in."""
    server = OpenRouterServer(**options)
    routes = {"/api/v1/key": server.tell_key, "/api/v1/embeddings": server.embed}
    async with run_app(server, "/api/v1", routes):
        yield server
