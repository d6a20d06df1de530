"""The HTTP interface of a node: one port, on this machine unless told otherwise."""

from __future__ import annotations

import errno
import logging
import secrets
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from aiohttp import web

from meshnode.config import API_DEFAULT, LOOPBACK_HOSTS, format_api_address, parse_api_address
from meshnode.errors import ConfigError, Unavailable
from meshnode.gateway.access import Gatekeeper
from meshnode.gateway.blobs_api import BlobsApi
from meshnode.gateway.decisions_api import DecisionsApi
from meshnode.gateway.door.api import OpenAIApi
from meshnode.gateway.endpoints import make_routes
from meshnode.gateway.guard import answer_problems, make_guard
from meshnode.gateway.health import PROGRAM, make_health_endpoints
from meshnode.gateway.http_meter import HttpMeter
from meshnode.gateway.limits import Limits
from meshnode.gateway.market_api import MarketApi
from meshnode.gateway.mcp_api import McpApi
from meshnode.gateway.members_api import MembersApi
from meshnode.gateway.mesh_api import MeshApi
from meshnode.gateway.metrics import MetricsApi
from meshnode.gateway.openapi import make_openapi_endpoint
from meshnode.gateway.tls import NO_TLS, TlsFiles, make_server_context
from meshnode.secret import Secret

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from meshnode.gateway.port import NodeHost

BODY_BYTES_MAX: Final = 2 * 2**20
SHUTDOWN_GRACE_S: Final = 1.0
HOLDER_TIMEOUT_S: Final = 1.0
HOLDER_BYTES_MAX: Final = 1_024
BACKLOG: Final = 1_024
"""Connections that may wait to be taken: clients come in hundreds at once."""
_log: Final = logging.getLogger(__name__)
_TOKEN_BYTES: Final = 32


class Gateway:
    """Listens from `start` to `close`."""

    def __init__(
        self,
        host: NodeHost,
        *,
        api: str | None,
        insecure: bool = False,
        since_ms: int = 0,
        home: Path | None = None,
        tls: TlsFiles = NO_TLS,
    ) -> None:
        """Serve `host` at HOST:PORT. Raises `ConfigError` for an address beyond this machine.

        With None it is the usual address, or a free port where another program has that one.

        `since_ms` is when this process began to serve, for people; `home` holds the API keys of
        clients; beyond this machine a certificate is needed, or somebody's word that it is not.
        """
        self._host, self._port = parse_api_address(api or API_DEFAULT)
        self._may_move = api is None
        self._tls = make_server_context(tls)
        loopback_only = self._host in LOOPBACK_HOSTS
        self._check_reach(api, loopback_only=loopback_only, insecure=insecure)
        self.token = Secret(secrets.token_urlsafe(_TOKEN_BYTES))
        """What clients prove themselves with; new at every start."""
        limits = Limits(home)
        guard = make_guard(Gatekeeper(self.token, home), limits, loopback_only=loopback_only)
        meter = HttpMeter()
        app = web.Application(
            middlewares=[meter.make_middleware(), answer_problems, guard],
            client_max_size=BODY_BYTES_MAX,
        )
        door = OpenAIApi(host, limits)
        app.on_shutdown.append(lambda _: door.close())
        endpoints = [
            *make_health_endpoints(host, since_ms=since_ms),
            *MeshApi(host, limits, lambda: self.url).make_endpoints(),
            *BlobsApi(host).make_endpoints(),
            *DecisionsApi(host).make_endpoints(),
            *MembersApi(host).make_endpoints(),
            *MarketApi(host).make_endpoints(),
            *door.make_endpoints(),
        ]
        tools = McpApi(host, limits, home=home, secured=loopback_only)
        app.on_shutdown.append(lambda _: tools.close())
        endpoints += tools.make_endpoints()
        endpoints += MetricsApi(host, meter, version=version("meshnode")).make_endpoints()
        document = make_openapi_endpoint(endpoints, version=version("meshnode"))
        app.add_routes(make_routes([*endpoints, document]))
        # A client that goes away cancels its handler, and with it the work behind it.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_GRACE_S,
        )

    @property
    def api(self) -> str:
        """HOST:PORT it listens on, with the port really taken."""
        return format_api_address(self._host, self._port)

    @property
    def url(self) -> str:
        """Where its paths begin."""
        return f"{'https' if self._tls else 'http'}://{self.api}"

    async def start(self, taken: socket.socket | None = None) -> None:
        """Listen, on a port that was taken already or on one's own.

        Raises `Unavailable` where the address cannot be had.
        """
        await self._runner.setup()
        if taken is not None:
            await web.SockSite(self._runner, taken, backlog=BACKLOG).start()
            return
        try:
            await self._listen()
        except OSError as error:
            await self._runner.cleanup()
            raise await _explain(error, self.api) from None
        self._port = self._runner.addresses[0][1]

    def _check_reach(self, api: str | None, *, loopback_only: bool, insecure: bool) -> None:
        if loopback_only or self._tls is not None:
            return
        if not insecure:
            raise ConfigError(
                f"api = {api!r} listens beyond this machine, and HTTP is not encrypted",
                hint="give --api-cert and --api-key-file, or use 127.0.0.1, or --api-insecure "
                "on a trusted network",
            )
        _log.warning(
            "api %s listens beyond this machine WITHOUT ENCRYPTION: whoever sees the network sees "
            "tokens, questions and answers; give --api-cert and --api-key-file",
            api,
        )

    async def _listen(self) -> None:
        try:
            await self._open_site(self._port)
        except OSError as error:
            if not self._may_move or error.errno != errno.EADDRINUSE:
                raise
            await self._open_site(0)

    async def _open_site(self, port: int) -> None:
        site = web.TCPSite(self._runner, self._host, port, ssl_context=self._tls, backlog=BACKLOG)
        await site.start()

    async def close(self) -> None:
        """Stop listening; requests in progress get a short grace."""
        await self._runner.cleanup()


async def _explain(error: OSError, api: str) -> Unavailable:
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"api address {api} is taken by {await _describe_holder(api)}",
            hint="choose another with --api HOST:PORT; port 0 takes any free one",
        )
    return Unavailable(
        f"api address {api} cannot be listened on: {error.strerror}",
        hint="choose an address of this machine with --api HOST:PORT",
    )


async def _describe_holder(api: str) -> str:
    """Who listens there already: another node says so itself."""
    timeout = aiohttp.ClientTimeout(total=HOLDER_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(f"http://{api}/livez", allow_redirects=False) as response,
        ):
            data = msgspec.json.decode(await response.content.read(HOLDER_BYTES_MAX))
            if data["program"] != PROGRAM:
                return "another program"
            since = time.strftime("%H:%M", time.localtime(int(data["since_ms"]) // 1_000))
            return f"another meshnode, pid {int(data['pid'])}, since {since}"
    except (
        aiohttp.ClientError,
        TimeoutError,
        msgspec.DecodeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ):
        return "another program"
