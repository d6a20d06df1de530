"""The HTTP side of an engine: one base URL, every wait bounded, every failure an `EngineError`."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import yarl

from meshnode.engines.base import EngineError, EngineFault, WaitEnded
from meshnode.engines.openai_stream import decode_object, malformed
from meshnode.engines.upstream_errors import (
    error_from_object,
    error_from_response,
    one_line,
)
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from meshnode.secret import Secret

ERROR_BYTES_MAX = 64 << 10
BODY_BYTES_MAX = 4 << 20


class HttpBackend:
    """Sends requests below a base URL. Follows no redirect, keeps no cookie, reads no proxy setting.

    Deadlines are times of the running loop. Raises `ConfigError` for a base URL or a key that
    cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        api_key: Secret,
        *,
        connections_max: int,
        connect_timeout_ms: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base_url = _read_base_url(base_url)
        self._root_url = _strip_version(self._base_url)
        self._api_key = api_key
        self._headers = _headers(api_key) | dict(headers or {})
        self._connections_max = connections_max
        self._connect_timeout_s = connect_timeout_ms / 1000
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._waits: set[asyncio.Timeout] = set()
        self.label = f"the engine at {self._base_url.authority}"

    def open(self) -> None:
        """Make requests possible; connections are opened when they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections_max),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._connect_timeout_s, sock_connect=self._connect_timeout_s
            ),
        )

    async def close(self) -> None:
        """Hang up; whoever still reads meets an `EngineError`."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)  # closing the session would leave some of them waiting
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def authority(self) -> str:
        """Host and port."""
        return self._base_url.authority

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        body: bytes | None = None,
        size_max_bytes: int = BODY_BYTES_MAX,
        below_root: bool = False,
    ) -> bytes:
        """The whole body of a response. Raises `EngineError`."""
        response = await self.send(
            method, path, deadline=deadline, body=body, below_root=below_root
        )
        try:
            return await self.read_whole(response, deadline=deadline, size_max_bytes=size_max_bytes)
        finally:
            response.close()

    async def fetch_object(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        body: bytes | None = None,
        size_max_bytes: int = BODY_BYTES_MAX,
        below_root: bool = False,
    ) -> dict[str, Any]:
        """The JSON object in a response. Raises `EngineError`, also for an error object."""
        data = await self.fetch(
            method,
            path,
            deadline=deadline,
            body=body,
            size_max_bytes=size_max_bytes,
            below_root=below_root,
        )
        found = decode_object(data, self.label)
        if found.get("error"):
            raise error_from_object(self.label, found, secret=self._api_key)
        return found

    async def send(
        self,
        method: str,
        path: str,
        *,
        deadline: float,
        body: bytes | None = None,
        below_root: bool = False,
    ) -> aiohttp.ClientResponse:
        """The response to a request, its status 200; the caller closes it. Raises `EngineError`.

        With `below_root`, the path is below the address without its `/v1`.
        """
        if self._session is None:
            raise EngineError(EngineFault.UNREACHABLE, f"{self.label} is not connected")
        base = self._root_url if below_root else self._base_url
        async with self._wait(deadline, EngineFault.UNREACHABLE, "cannot be reached"):
            response = await self._session.request(
                method,
                base / path,
                data=None if body is None else io.BytesIO(body),
                allow_redirects=False,
            )
        if response.status == 200 and "html" not in response.content_type:
            return response
        try:
            await self._refuse(response, deadline)
        finally:
            response.close()

    async def read(
        self,
        response: aiohttp.ClientResponse,
        *,
        deadline: float,
        waits_for: str = "the rest of its answer",
    ) -> bytes:
        """The bytes that have arrived; empty at the end of the body. Raises `EngineError`."""
        async with self._wait(
            deadline, EngineFault.TRUNCATED, "cut its answer short", waits_for=waits_for
        ):
            return await response.content.readany()

    async def read_whole(
        self, response: aiohttp.ClientResponse, *, deadline: float, size_max_bytes: int
    ) -> bytes:
        """A whole body. Raises `EngineError`, also when it is larger than allowed."""
        pieces = bytearray()
        while data := await self.read(response, deadline=deadline):
            pieces += data
            if len(pieces) > size_max_bytes:
                raise malformed(self.label, f"it is larger than {size_max_bytes} bytes")
        return bytes(pieces)

    async def _refuse(self, response: aiohttp.ClientResponse, deadline: float) -> NoReturn:
        if response.status == 200:
            raise malformed(self.label, f"a page of type {response.content_type}")
        body = b""
        with suppress(EngineError):  # without a readable body the status says what there is to say
            body = await self.read_whole(
                response, deadline=deadline, size_max_bytes=ERROR_BYTES_MAX
            )
        raise error_from_response(
            self.label, response.status, response.headers, body, secret=self._api_key
        )

    @asynccontextmanager
    async def _wait(
        self, deadline: float, fault: EngineFault, what: str, *, waits_for: str = "its answer"
    ) -> AsyncIterator[None]:
        """Wait for the network until `deadline` or `close`; a loss becomes an error of `fault`."""
        if self._closed:
            raise self._closed_error()
        try:
            async with asyncio.timeout_at(deadline) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if self._closed:
                raise self._closed_error() from None
            if isinstance(error, TimeoutError):
                waited = f"{self.label} kept this node waiting for"
                if isinstance(error, aiohttp.ConnectionTimeoutError):
                    raise EngineError(EngineFault.TIMEOUT, f"{waited} a connection") from None
                raise WaitEnded(f"{waited} {waits_for}") from None
            reason = one_line(str(error), self._api_key) or type(error).__name__
            raise EngineError(fault, f"{self.label} {what}: {reason}") from None

    def _closed_error(self) -> EngineError:
        return EngineError(EngineFault.UNREACHABLE, f"the connection to {self.label} was closed")


def _read_base_url(text: str) -> yarl.URL:
    try:
        url = yarl.URL(text)
    except ValueError:
        url = yarl.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(
            "base_url is not the http or https address of an engine",
            hint="give it like http://127.0.0.1:8000/v1",
        )
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise ConfigError(
            "base_url carries a user, password, query or fragment", hint="put the key in api_key"
        )
    return url


def _strip_version(url: yarl.URL) -> yarl.URL:
    """The address without a last part like `v1`, where engines keep what is not of the dialect."""
    path = url.path.rstrip("/")
    head, _, last = path.rpartition("/")
    return url.with_path(head or "/") if last[:1] == "v" and last[1:].isdecimal() else url


def _headers(api_key: Secret) -> dict[str, str]:
    headers = {
        "Accept": "text/event-stream, application/json",
        # Compression of a token stream gains nothing and would hide its size from the limits.
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "meshnode",
    }
    if api_key:
        key = api_key.reveal()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError("api_key holds characters that no key has", hint="copy it again")
        headers["Authorization"] = f"Bearer {key}"
    return headers
