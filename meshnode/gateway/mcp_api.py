"""The Model Context Protocol at `/mcp`: its library speaks ASGI, this gateway does not.

Every POST stands for itself: there are no sessions to keep, resume or fill memory with. The
library is an extra, and loads in a thread when the first request for it comes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from meshnode.config import LOOPBACK_HOSTS
from meshnode.gateway.access import get_caller
from meshnode.gateway.endpoints import Endpoint, Plain, post
from meshnode.gateway.guard import STREAMING
from meshnode.gateway.mcp_purse import CallerPurse
from meshnode.gateway.mcp_reports import make_usage_reader
from meshnode.gateway.mcp_tools import Context
from meshnode.gateway.refusals import Refusal
from meshnode.gateway.streaming import EVENTS_TYPE

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from meshnode.gateway.limits import Limits
    from meshnode.gateway.port import NodeHost

MCP_PATH: Final = "/mcp"
_REQUEST: Final = "meshnode.request"
_OBJECT: Final = {"type": "object"}
_HOP_HEADERS: Final = ("connection", "content-length", "transfer-encoding")


class RpcError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, as JSON-RPC says it."""

    code: int
    message: str


class RpcProblem(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the protocol itself, which its library answers."""

    jsonrpc: str
    error: RpcError


class NotInstalled(Refusal):
    """An optional part that is not there."""

    code = "not_installed"
    status = 501


class McpApi:
    """The handler of `/mcp`."""

    def __init__(self, host: NodeHost, limits: Limits, *, home: Path | None, secured: bool) -> None:
        """With `secured` the guard lets only names of this machine through, and so does this."""
        self._host = host
        self._limits = limits
        self._read_usage = make_usage_reader(home)
        self._secured = secured
        self._service: _Service | None = None
        self._loading = asyncio.Lock()

    def make_endpoints(self) -> list[Endpoint]:
        """Its one path."""
        endpoint = post(
            MCP_PATH,
            "The Model Context Protocol, as streamable HTTP without sessions.",
            self._answer,
            Plain("application/json", _OBJECT),
            Plain(EVENTS_TYPE, {}),
            takes=_OBJECT,
            refuses=(501,),
            problems=(RpcProblem,),
        )
        return [replace(endpoint, tag="mcp")]

    async def close(self) -> None:
        """End what is under way."""
        service, self._service = self._service, None
        if service is not None:
            await service.close()

    async def _answer(self, request: web.Request, _: None) -> web.StreamResponse:
        service = await self._open()
        bridge = _Bridge(request, await request.read())
        await service.manager.handle_request(bridge.scope, bridge.receive, bridge.send)
        return bridge.finish()

    async def _open(self) -> _Service:
        async with self._loading:
            if self._service is None:
                if find_spec("mcp") is None:
                    raise NotInstalled(
                        "the Model Context Protocol is not installed on this node",
                        hint='pip install "meshnode[mcp]", then start it anew',
                    )
                manager = await asyncio.to_thread(self._make_manager)
                self._service = _Service(manager)
                await self._service.start()
            return self._service

    def _make_manager(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
        from mcp.server.transport_security import TransportSecuritySettings

        server_module = import_module("meshnode.gateway.mcp_server")
        hosts = [f"[{name}]" if ":" in name else name for name in LOOPBACK_HOSTS]
        settings = TransportSecuritySettings(
            enable_dns_rebinding_protection=self._secured,
            allowed_hosts=[*hosts, *(f"{name}:*" for name in hosts)],
            allowed_origins=[
                f"http{s}://{name}{p}" for name in hosts for s in ("", "s") for p in ("", ":*")
            ],
        )
        return StreamableHTTPSessionManager(
            app=server_module.make_server(self._find_context),
            json_response=True,
            stateless=True,
            security_settings=settings,
        )

    def _find_context(self, ctx: Any) -> Context:
        """Whom a request is from: the guard has written it into the HTTP request."""
        request: web.Request = ctx.request.scope[_REQUEST]
        return Context(
            node=self._host.get_node(),
            purse=CallerPurse(get_caller(request), self._limits),
            read_usage=self._read_usage,
        )


class _Service:
    """The library's manager, which has to begin and end in one task."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self.manager = manager
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="mcp")
        await self._ready.wait()

    async def _run(self) -> None:
        async with self.manager.run():
            self._ready.set()
            await self._stop.wait()

    async def close(self) -> None:
        self._stop.set()
        if self._task is not None:
            await self._task


class _Bridge:
    """One HTTP request of aiohttp as an ASGI application sees it."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self._request = request
        self._body: bytes | None = body
        self._response = web.StreamResponse()
        self._begun = False
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query_string.encode(),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": None,
            "server": None,
            _REQUEST: request,
        }

    async def receive(self) -> dict[str, Any]:
        """The body, and then nothing: a client that goes away cancels this request's task."""
        if self._body is None:
            await asyncio.Event().wait()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """A piece of the answer."""
        if message["type"] == "http.response.start":
            self._response.set_status(message["status"])
            for name, value in message.get("headers", ()):
                header = name.decode("latin-1")
                if header.lower() not in _HOP_HEADERS:
                    self._response.headers[header] = value.decode("latin-1")
            return
        if not self._begun:
            self._begun = True
            self._request[STREAMING] = True
            await self._response.prepare(self._request)
        if message.get("body"):
            await self._response.write(message["body"])
        if not message.get("more_body", False):
            await self._response.write_eof()

    def finish(self) -> web.StreamResponse:
        """The answer, which has been sent."""
        return self._response
