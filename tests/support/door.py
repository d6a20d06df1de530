"""A node with an engine that follows a script, behind its door on a real socket."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from meshnode.engines.base import ModelInfo
from meshnode.gateway.private import PrivateGateway
from meshnode.testing import mesh

MODEL = "scripted-1"
QUESTION: Any = [{"role": "user", "content": "What is up?"}]


class Hold:
    """A step of a script that never ends."""


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "created": 5, "model": MODEL, "choices": [choice], **fields}


def say(*words: str) -> list[Any]:
    """Words, a finish, and usage where most engines put it."""
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        chunk({}, "stop"),
        {"id": "chatcmpl-1", "model": MODEL, "choices": [], "usage": USAGE},
    ]


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cached_tokens": 1}


def call_tool(name: str, arguments: str, call_id: str = "call_1") -> list[Any]:
    """A tool call in fragments, as engines stream it."""
    half = len(arguments) // 2
    start = {"index": 0, "id": call_id, "type": "function"}
    return [
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [{**start, "function": {"name": name, "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[:half]}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments[half:]}}]}),
        chunk({}, "tool_calls", usage=USAGE),
    ]


class ScriptedEngine:
    """Answers with the chunks that its script gives for a request; errors in it are raised."""

    name = "scripted"
    shareable = True

    def __init__(
        self, script: Callable[[dict[str, Any]], Iterable[Any]], *, slots: int = 256
    ) -> None:
        self.slots = slots
        self.requests: list[dict[str, Any]] = []
        self.stopped = asyncio.Event()
        """Set when an answer was ended by who asked."""
        self.asked = asyncio.Event()
        self.running = 0
        self._script = script

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def models(self) -> list[ModelInfo]:
        return [ModelInfo(id=MODEL, context_tokens=4_096, tools=True)]

    async def chat(self, request):
        self.requests.append(dict(request))
        self.asked.set()
        self.running += 1
        try:
            for step in self._script(dict(request)):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Hold):
                    await asyncio.Event().wait()
                yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.set()
            raise
        finally:
            self.running -= 1


class EmbeddingEngine(ScriptedEngine):
    """Has embeddings, too."""

    async def embed(self, request):
        self.requests.append(dict(request))
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "model": MODEL, "data": data, "usage": usage}


@dataclass
class Door:
    """Where a test knocks."""

    node: Any
    gateway: PrivateGateway
    session: aiohttp.ClientSession

    @property
    def base_url(self) -> str:
        return f"{self.gateway.url}/v1"

    @property
    def token(self) -> str:
        return self.gateway.token

    def open(self, method: str, path: str, body: Any = None, **options: Any):
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        data = json.dumps(body).encode() if isinstance(body, dict | list) else body
        if isinstance(data, bytes):
            data = io.BytesIO(data)
        url = f"{self.gateway.url}{path}"
        return self.session.request(method, url, data=data, headers=headers, **options)

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any):
        async with self.open(method, path, body, **options) as response:
            return response.status, await response.json(), response.headers

    async def chat(self, **fields: Any):
        body = {"model": "auto", "messages": QUESTION, **fields}
        return await self("POST", "/v1/chat/completions", body)

    async def wait_idle(self) -> None:
        """Until no slot of the node's engine is taken."""
        async with asyncio.timeout(5):
            while (await self.node.status()).engine.running:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)

    async def read_events(self, path: str, body: dict[str, Any], **options: Any) -> list[Any]:
        """The data of every event of a stream; comments are left out."""
        async with self.open("POST", path, {**body, "stream": True}, **options) as response:
            assert response.status == 200, await response.text()
            text = (await response.read()).decode()
        return read_events(text)


def read_events(text: str) -> list[Any]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    data = [block.rpartition("data: ")[2] for block in blocks]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


@asynccontextmanager
async def open_door(engine: Any = "echo"):
    """A mesh of one node, and its door."""
    async with (
        mesh(1, engine=[engine], validates=False, suite="ed25519") as (node,),
        aiohttp.ClientSession() as session,
    ):
        gateway = PrivateGateway(node)
        try:
            yield Door(node, gateway, session)
        finally:
            await session.close()
            await gateway.close()
