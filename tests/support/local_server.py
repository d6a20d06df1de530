"""Stand-ins for engines people host themselves: what each kind answers beside the dialect."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.dialect_server import run_app
from tests.support.openai_server import MODEL, OpenAIServer

VLLM_METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
"""
SGLANG_METRICS = """\
sglang:num_running_reqs{model_name="m"} 4.0
sglang:num_queue_reqs{model_name="m"} 9.0
sglang:token_usage{model_name="m"} 0.125
"""
LLAMA_METRICS = """\
llamacpp:requests_processing 1
llamacpp:requests_deferred 2
llamacpp:kv_cache_usage_ratio 0.75
"""
TRT_METRICS = """\
trtllm_num_requests_running{model_name="m"} 6.0
trtllm_num_requests_waiting{model_name="m"} 7.0
trtllm_kv_cache_utilization{model_name="m"} 1.5
"""


@dataclass
class LocalServer(OpenAIServer):
    """An engine of one kind; every four characters of text are a token to it."""

    kind: str = "vllm"
    owner: str = ""
    """What its model list says; empty for a list that says nothing."""
    asked_paths: list[str] = field(default_factory=list)
    tokenized: list[dict[str, Any]] = field(default_factory=list)
    window: int = 4_096
    model_id: str = MODEL
    hold: asyncio.Event | None = None
    """Embeddings wait for it."""

    def __post_init__(self) -> None:
        entry: dict[str, Any] = {"id": self.model_id, "max_model_len": self.window}
        if self.owner:
            entry["owned_by"] = self.owner
        self.models = {"object": "list", "data": [entry]}

    def _good_answer(self, body: dict[str, Any]) -> Any:
        served = body["model"]
        if served == self.model_id:
            served = MODEL
        return super()._good_answer(body | {"model": served})

    async def tokenize(self, request: web.Request) -> web.StreamResponse:
        self.asked_paths.append(request.path)
        body = await request.json()
        self.tokenized.append(body)
        text = str(body.get("messages") or body.get("prompt") or body.get("content"))
        count = len(text) // 4
        if self.kind == "llama_cpp":
            return web.json_response({"tokens": list(range(count))})
        return web.json_response({"count": count, "max_model_len": self.window, "tokens": []})

    async def apply_template(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response({"prompt": str(body["messages"])})

    async def count(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response({"total_tokens": len(str(body["messages"])) // 4})

    async def embed(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        vector = {"object": "embedding", "index": 0, "embedding": [1.0]}
        return web.json_response({"object": "list", "data": [vector], "model": body["model"]})


def text(page: str):
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=page)

    return answer


def values(page: Any):
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(page)

    return answer


def routes_of(server: LocalServer) -> dict[str, Any]:
    settings = values({"max_total_num_tokens": 9, "tp_size": 8})
    kt = values({"kt_weight_path": "/models", "max_total_num_tokens": 9})
    by_kind: dict[str, dict[str, Any]] = {
        "vllm": {"/tokenize": server.tokenize, "/metrics": text(VLLM_METRICS)},
        "sglang": {
            "/tokenize": server.tokenize,
            "/metrics": text(SGLANG_METRICS),
            "/get_server_info": settings,
        },
        "ktransformers": {
            "/tokenize": server.tokenize,
            "/metrics": text(SGLANG_METRICS),
            "/get_server_info": kt,
        },
        "llama_cpp": {
            "/tokenize": server.tokenize,
            "/apply-template": server.apply_template,
            "/metrics": text(LLAMA_METRICS),
            "/props": values({"default_generation_settings": {}}),
        },
        "tensorrt_llm": {"/prometheus/metrics": text(TRT_METRICS)},
        "litellm": {
            "/utils/token_counter": server.count,
            "/health/liveliness": values("I'm alive!"),
        },
        "other": {},
    }
    return by_kind[server.kind] | {"/v1/embeddings": server.embed}


@asynccontextmanager
async def local_server(**options: Any):
    """A running stand-in."""
    server = LocalServer(**options)
    async with run_app(server, "/v1", routes_of(server)):
        yield server
