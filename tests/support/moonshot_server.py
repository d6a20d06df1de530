"""A stand-in for the Kimi platform: as strict as its documentation, with its faults on demand."""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.dialect_server import (
    DialectServer,
    Step,
    common_faults,
    is_count,
    json_script,
    run_app,
    spoken_words,
)
from tests.support.openai_server import Pause, Script, event

INSTRUCT = "kimi-k2-0905-preview"
THINKER = "kimi-k2.6"
CODER = "kimi-k2.7-code"
NEWEST = "kimi-k3"
WINDOW = 262_144
SAMPLING = ("temperature", "top_p", "n", "presence_penalty", "frequency_penalty")
TOOL_NAME = re.compile(r"^[a-zA-Z_][a-zA-Z0-9\-_]{2,63}$")


def error(kind: str, message: str, status: int, **headers: str) -> Script:
    return json_script(status, {"error": {"type": kind, "message": message}}, **headers)


def listing(*ids: str) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "owned_by": "moonshot",
                "context_length": WINDOW,
                "supports_reasoning": name != INSTRUCT,
            }
            for name in ids
        ],
    }


@dataclass
class MoonshotServer(DialectServer):
    """`balance` and `window` are the account's and the model's, for tests to change."""

    models: Any = field(default_factory=lambda: listing(INSTRUCT))
    balance: float | str = 49.58894
    window: int = WINDOW
    tokens_per_char: float = 0.25
    estimates: list[dict[str, Any]] = field(default_factory=list)
    estimate_status: int = 200

    def headers(self) -> dict[str, str]:
        return {"msh-request-id": f"req-{self.count}", "x-trace-id": f"trace-{self.count}"}

    def refuse_key(self) -> Script:
        return error("invalid_authentication_error", "Invalid Authentication", 401)

    def faults(self) -> dict[str, Script]:
        rpm = "Your account org-1<ak-1> request reached organization max RPM: 3, please try again"
        tpd = "request reached organization TPD rate limit, current: 1500001, limit: 1500000"
        quota = "You exceeded your current token quota: 0, please check your account balance"
        late = "server overloaded, please try again later"
        return common_faults(self) | {
            "overloaded": error("engine_overloaded_error", "The engine is overloaded", 429),
            "rpm": error("rate_limit_reached_error", rpm, 429, **{"Retry-After": "2"}),
            "rpm_bare": error("rate_limit_reached_error", rpm, 429),
            "tpd": error(
                "rate_limit_reached_error", tpd, 429, Date="Sat, 21 Nov 2026 22:00:00 GMT"
            ),
            "quota": error("exceeded_current_quota_error", quota, 429),
            "forbidden": error("permission_denied_error", "top up to use it", 403),
            "not_found": error("resource_not_found_error", "Not found the model", 404),
            "filtered": error("content_filter", "high risk", 400),
            "overflow": error(
                "invalid_request_error",
                f"Invalid request: Your request exceeded model token limit: {self.window} "
                "(requested: 300000)",
                400,
            ),
            "closed": error("client_closed_request", "closed", 499),
            "server": error("server_error", "oops", 500),
            "unexpected": error("unexpected_output", "oops", 500),
            "unavailable": error("server_unavailable", late, 503),
            "error_in_stream": self.mid_stream(
                event({"error": {"type": "engine_overloaded_error", "message": "overloaded"}})
            ),
            "error_at_once": Script(
                [event({"error": {"type": "server_error", "message": "oops"}})]
            ),
        }

    def find_mistake(self, body: dict[str, Any]) -> Script | None:
        said = self._mistake(body)
        if said == "no such model":
            return error("resource_not_found_error", f"Not found the model {body['model']}", 404)
        return error("invalid_request_error", said, 400) if said else None

    def _mistake(self, body: dict[str, Any]) -> str:
        if body.get("model") not in [model["id"] for model in self.models["data"]]:
            return "no such model"
        if not body.get("messages"):
            return "messages is empty"
        unknown = {"max_tokens", "continue_final_message", "chat_template_kwargs", "meshnode"}
        if unknown & body.keys():
            return f"unknown fields {sorted(unknown & body.keys())}"
        cap: Any = body.get("max_completion_tokens")
        if not is_count(cap):
            return "no cap: the whole minute is charged"
        if self.estimate(body["messages"]) + cap > self.window:
            total = self.estimate(body["messages"]) + cap
            return f"exceeded model token limit: {self.window} (requested: {total})"
        return self._sampling(body) or self._tools(body) or self._history(body)

    def _sampling(self, body: dict[str, Any]) -> str:
        if body["model"] == INSTRUCT:
            value = body.get("temperature")
            return "" if value is not None and 0 <= value <= 1 else "invalid temperature"
        present = [name for name in SAMPLING if name in body]
        if present:
            return f"invalid {present[0]}: only the default is allowed for this model"
        if body["model"] == CODER and "thinking" in body:
            return "this model always thinks"
        if body["model"] == NEWEST and "thinking" in body:
            return "unknown field thinking"
        return ""

    def _tools(self, body: dict[str, Any]) -> str:
        choice = body.get("tool_choice", "auto")
        allowed = ["auto", "none"] + (["required"] if body["model"] == NEWEST else [])
        if choice not in allowed:
            return f"tool_choice '{choice}' is incompatible with thinking"
        tools = body.get("tools", [])
        names = [tool["function"]["name"] for tool in tools]
        if len(tools) > 128 or len(set(names)) < len(names):
            return "too many tools, or two of one name"
        if not all(TOOL_NAME.match(name) or name.startswith("$") for name in names):
            return "function name is invalid"
        stops = body.get("stop", [])
        stops = [stops] if isinstance(stops, str) else stops
        if len(stops) > 5 or any(len(stop.encode()) > 32 for stop in stops):
            return "stop is invalid"
        return ""

    def _history(self, body: dict[str, Any]) -> str:
        thinks = body["model"] != INSTRUCT and body.get("thinking") != {"type": "disabled"}
        for message in body["messages"]:
            calls = message.get("tool_calls")
            if not calls:
                continue
            if "content" in message and message["content"] in ("", None, []):
                return "text content is empty"
            if thinks and not message.get("reasoning_content"):
                return (
                    "thinking is enabled but reasoning_content is missing in assistant tool call "
                    "message"
                )
            if not all(re.fullmatch(r"functions\.[\w-]+:\d+", call["id"]) for call in calls):
                return "tool_call_id not found"
        return ""

    def estimate(self, messages: list[Any]) -> int:
        return int(len(json.dumps(messages)) * self.tokens_per_char)

    def write_answer(self, body: dict[str, Any]) -> list[Step]:
        steps = self.chunk(body, {"role": "assistant", "content": ""})
        thinks = body["model"] != INSTRUCT and body.get("thinking") != {"type": "disabled"}
        for piece in ["The user ", "spoke."] if thinks else []:
            steps += self.chunk(body, {"reasoning_content": piece})
        prompt = self.estimate(body["messages"])
        usage = {"prompt_tokens": prompt, "cached_tokens": min(prompt, 256)}
        asked = str(body["messages"][-1].get("content"))
        if body.get("tools") and asked.startswith("call "):
            return steps + self._call(body, asked.removeprefix("call "), usage)
        words, limit = spoken_words(body), body["max_completion_tokens"]
        for word in words[:limit]:
            steps += [Pause(self.delay_ms), *self.chunk(body, {"content": word})]
        said = min(limit, len(words))
        usage |= {"completion_tokens": said, "total_tokens": prompt + said}
        finish = "length" if limit < len(words) else "stop"
        return steps + self.chunk(body, {}, finish, usage)

    def _call(self, body: dict[str, Any], name: str, usage: dict[str, Any]) -> list[Step]:
        index = sum(len(message.get("tool_calls") or ()) for message in body["messages"])
        function = {"name": name, "arguments": ""}
        first = {"index": 0, "id": f"{name}:{index}", "type": "function", "function": function}
        steps = self.chunk(body, {"tool_calls": [first]})
        for piece in ('{"city": ', '"Paris"}'):
            part = {"index": 0, "function": {"arguments": piece}}
            steps += self.chunk(body, {"tool_calls": [part]})
        usage |= {"completion_tokens": 7, "total_tokens": usage["prompt_tokens"] + 7}
        return steps + self.chunk(body, {}, "tool_calls", usage)

    async def tell_balance(self, request: web.Request) -> web.StreamResponse:
        await self.record(request)
        data = {
            "available_balance": self.balance,
            "voucher_balance": 46.58893,
            "cash_balance": 3.00001,
        }
        return web.json_response({"code": 0, "data": data, "scode": "0x0", "status": True})

    async def tell_estimate(self, request: web.Request) -> web.StreamResponse:
        await self.record(request)
        body = await request.json()
        self.estimates.append(body)
        if self.estimate_status != 200:
            return web.Response(status=self.estimate_status)
        tokens = self.estimate(body["messages"])
        return web.json_response({"code": 0, "data": {"total_tokens": tokens}, "status": True})


@asynccontextmanager
async def moonshot_server(**options: Any):
    """A running stand-in."""
    server = MoonshotServer(**options)
    routes = {
        "/v1/users/me/balance": server.tell_balance,
        "/v1/tokenizers/estimate-token-count": server.tell_estimate,
    }
    async with run_app(server, "/v1", routes):
        yield server
