"""The running node of this machine, with the same methods as a node in one's own process.

`connect()` reads the runtime file of a home folder and speaks to the node's HTTP interface:

    async with meshnode.connect() as node:
        print((await node.ask("Why is the sky blue?")).text)
"""

from __future__ import annotations

import base64
import io
import json
import os
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from meshnode.errors import DeadlineExceeded, MalformedMessage, MeshError, NoDaemon
from meshnode.event_views import NodeEvent, read_event
from meshnode.gateway.port import ASK_TIMEOUT_MS, INVITE_EXPIRES_IN_MS
from meshnode.gateway.problems import read_problem
from meshnode.gateway.tls import make_client_context
from meshnode.home import get_default_home
from meshnode.openai_client import OPENAI_PATH, OpenAIDoor, make_openai_client
from meshnode.remote_blobs import RemoteBlobs
from meshnode.remote_decisions import RemoteDecisions
from meshnode.remote_market import RemoteMarket
from meshnode.remote_members import RemoteMembers
from meshnode.remote_waiting import RemoteWaiting
from meshnode.route_views import PlacementInfo, RouteInfo
from meshnode.runtime_file import RuntimeRecord, require_runtime
from meshnode.views import (
    Answer,
    Finality,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    StreamItem,
    VertexDetail,
    VertexInfo,
    read_list_document,
    read_stream_item,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from types import TracebackType

    import aiohttp
    from openai import AsyncOpenAI

    from meshnode.gateway.port import Messages

READ_TIMEOUT_MS: Final = 30_000
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_GRACE_MS: Final = 10_000
"""How much longer than a question's own deadline to wait for the node's word about it."""
JOIN_TIMEOUT_MS: Final = 120_000
"""Joining opens the node anew, which may load its engine."""
EVENT_PAUSE_S: Final = 45.0
"""Longest silence of an event stream, which pings every 15 s."""
ROUTE_CHARS_MAX: Final = 4_000
"""Of a question whose way is only asked for; it travels in the address."""
LINE_BYTES_MAX: Final = 16 * 2**20
HOME_VARIABLE: Final = "MESHNODE_HOME"


def connect(home: str | Path | None = None) -> RemoteNode:
    """The node that runs for a home folder, by default the person's own. Raises `NoDaemon`."""
    if home is None:
        home = os.environ.get(HOME_VARIABLE) or get_default_home()
    path = Path(home).expanduser().absolute()
    return RemoteNode(require_runtime(path / "runtime.json"))


class RemoteNode(RemoteDecisions, RemoteMembers, RemoteMarket, RemoteWaiting):
    """A node in another process. Close it, or use it as an async context manager."""

    def __init__(self, record: RuntimeRecord) -> None:
        self._record = record
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """The node's process."""
        return self._record.pid

    @property
    def api(self) -> str:
        """HOST:PORT of the node's HTTP interface."""
        return self._record.api

    @property
    def openai_url(self) -> str:
        """Where programs made for OpenAI's interface find the node."""
        return f"{self._record.url}{OPENAI_PATH}"

    @property
    def since_ms(self) -> int:
        """When the process became reachable, in Unix milliseconds."""
        return self._record.since_ms

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop the connections; the node itself runs on."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def blobs(self) -> RemoteBlobs:
        """Content that is too large for a vertex."""
        return RemoteBlobs(self._request)

    # --- reading -----------------------------------------------------------------------------

    async def status(self) -> NodeStatus:
        """The node at a glance."""
        return NodeStatus.from_json(await self._get("/api/v1/status"))

    async def peers(self) -> list[PeerInfo]:
        """The other members."""
        return read_list_document("peers", PeerInfo, await self._get("/api/v1/peers"))

    async def heads(self) -> HeadsInfo:
        """What the store amounts to: equal digests mean equal stores."""
        return HeadsInfo.from_json(await self._get("/api/v1/heads"))

    async def vertices(
        self, *, limit: int = 50, kind: str | None = None, author: str | None = None
    ) -> list[VertexInfo]:
        """The newest vertices, newest first."""
        wanted = {"limit": str(limit), "kind": kind, "author": author}
        query = {name: value for name, value in wanted.items() if value is not None}
        data = await self._get("/api/v1/vertices", query)
        return read_list_document("vertices", VertexInfo, data)

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""
        return VertexDetail.from_json(await self._get(_make_vertex_path(vertex_id)))

    async def route(self, prompt: str | Messages = "", *, model: str = "auto") -> RouteInfo:
        """Where a question would go now and why; nothing is asked."""
        text = prompt if isinstance(prompt, str) else json.dumps([dict(each) for each in prompt])
        query = {"model": model, "prompt": text[:ROUTE_CHARS_MAX]}
        return RouteInfo.from_json(await self._get("/api/v1/route", query))

    async def placements(self, *, limit: int = 50) -> list[PlacementInfo]:
        """What the node decided on letting engines answer questions, the newest first."""
        data = await self._get("/api/v1/placements", {"limit": str(limit)})
        return read_list_document("placements", PlacementInfo, data)

    async def startup(self) -> dict[str, Any]:
        """How far the process is: 'ready', 'phase', 'detail', 'elapsed_ms'."""
        async with self._request("GET", "/startupz", accept=(200, 503)) as response:
            data: dict[str, Any] = await _read_json(response)
            return data

    async def finality(self, vertex_id: str, *, wait_ms: int = 0) -> Finality:
        """Whether a vertex has its place in the agreed order; waits so long for it to get one."""
        path = f"{_make_vertex_path(vertex_id)}/finality"
        total_ms = READ_TIMEOUT_MS + wait_ms
        async with self._request(
            "GET", path, query={"wait_ms": str(wait_ms)}, total_ms=total_ms
        ) as response:
            return Finality.from_json(await _read_json(response))

    async def events(self, *, after: int | None = None) -> AsyncGenerator[NodeEvent, None]:
        """What happens from now on, until the node ends or the iterator is closed.

        Commits come in order and each once; with `after` those behind that index come first.
        """
        query = None if after is None else {"after": str(after)}
        async with aclosing(self._listen("/api/v1/events", query)) as items:
            async for data in items:
                yield read_event(data)

    # --- doing -------------------------------------------------------------------------------

    async def ask(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> Answer:
        """Ask the mesh and wait for the whole answer; cancelling ends the work behind it."""
        body = _make_question(
            prompt,
            model=model,
            share=share,
            timeout_ms=timeout_ms,
            knowledge=list(knowledge),
            peer=peer,
            max_tokens=max_tokens,
            temperature=temperature,
            extra=None if extra is None else dict(extra),
            max_price_uruv=max_price_uruv,
            max_spend_uruv=max_spend_uruv,
            wishes=None if wishes is None else dict(wishes),
            context=list(context),
            ensemble=ensemble,
            debate=debate,
            judge=judge,
        )
        data = await self._post("/api/v1/ask", body, timeout_ms=timeout_ms + ANSWER_GRACE_MS)
        return Answer.from_json(data)

    async def stream(
        self,
        prompt: str | Messages,
        *,
        model: str = "auto",
        share: str | None = None,
        timeout_ms: int = ASK_TIMEOUT_MS,
        knowledge: Sequence[str] = (),
        peer: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra: Mapping[str, Any] | None = None,
        max_price_uruv: int | None = None,
        max_spend_uruv: int | None = None,
        wishes: Mapping[str, int] | None = None,
        context: Sequence[str] = (),
        ensemble: int | None = None,
        debate: int | None = None,
        judge: str | None = None,
    ) -> AsyncGenerator[StreamItem, None]:
        """Ask the mesh and take the answer as it comes; closing the iterator ends the work."""
        body = _make_question(
            prompt,
            model=model,
            share=share,
            timeout_ms=timeout_ms,
            knowledge=list(knowledge),
            peer=peer,
            max_tokens=max_tokens,
            temperature=temperature,
            extra=None if extra is None else dict(extra),
            max_price_uruv=max_price_uruv,
            max_spend_uruv=max_spend_uruv,
            wishes=None if wishes is None else dict(wishes),
            context=list(context),
            ensemble=ensemble,
            debate=debate,
            judge=judge,
        )
        body["stream"] = True
        pause_s = (timeout_ms + ANSWER_GRACE_MS) / 1_000
        async with (
            self._request("POST", "/api/v1/ask", body, pause_s=pause_s) as response,
            aclosing(_read_lines(response)) as lines,
        ):
            async for line in lines:
                data = _decode(line)
                if isinstance(data, dict) and data.get("type") == "error":
                    raise read_problem(data)
                yield read_stream_item(data)

    async def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a request for embeddings with the node's own engine."""
        data = await self._post("/v1/embeddings", dict(request), timeout_ms=ASK_TIMEOUT_MS)
        if not isinstance(data, dict):
            raise MalformedMessage("the node answered without embeddings")
        return data

    def openai(self) -> AsyncOpenAI:
        """A client of OpenAI's SDK that asks this node; close it like any other.

        Raises `ConfigError` where the package `openai` is not installed.
        """
        return make_openai_client(self.open_openai_door())

    def open_openai_door(self) -> OpenAIDoor:
        """Where programs made for OpenAI's interface find the node."""
        record = self._record
        return OpenAIDoor(self.openai_url, record.token, make_client_context(record.certificate))

    async def publish(
        self,
        content: str | bytes,
        *,
        title: str = "",
        media_type: str = "text/plain",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Share a note with the mesh."""
        body: dict[str, Any] = {
            "title": title,
            "media_type": media_type,
            "knowledge": list(knowledge),
        }
        if isinstance(content, bytes):
            body["content_base64"] = base64.b64encode(content).decode("ascii")
        else:
            body["content"] = content
        return VertexInfo.from_json(await self._post("/api/v1/publish", body))

    async def invite(
        self,
        *,
        uses: int = 1,
        expires_in_ms: int = INVITE_EXPIRES_IN_MS,
        role: str = "peer",
        grant_uruv: int = 0,
    ) -> str:
        """A ticket for somebody else, who is given so much of the node's money."""
        body = {
            "uses": uses,
            "expires_in_ms": expires_in_ms,
            "role": role,
            "grant_uruv": grant_uruv,
        }
        data = await self._post("/api/v1/invite", body)
        ticket = data.get("ticket") if isinstance(data, dict) else None
        if not isinstance(ticket, str):
            raise MalformedMessage("the node answered without a ticket")
        return ticket

    async def join(self, ticket: str) -> NodeStatus:
        """Let the running node leave a network it is alone in, and join the ticket's."""
        data = await self._post("/api/v1/join", {"ticket": ticket}, timeout_ms=JOIN_TIMEOUT_MS)
        return NodeStatus.from_json(data)

    async def shutdown(self) -> None:
        """Ask the node to stop; returns when it has heard."""
        await self._post("/api/v1/shutdown", {})

    # --- HTTP --------------------------------------------------------------------------------

    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, wait_ms: int = 0
    ) -> object:
        total_ms = READ_TIMEOUT_MS + wait_ms
        async with self._request("GET", path, query=query, total_ms=total_ms) as response:
            return await _read_json(response)

    async def _post(
        self, path: str, body: dict[str, Any], *, timeout_ms: int = READ_TIMEOUT_MS
    ) -> object:
        async with self._request("POST", path, body, total_ms=timeout_ms) as response:
            return await _read_json(response)

    async def _listen(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[object, None]:
        async with (
            self._request("GET", path, query=query, pause_s=EVENT_PAUSE_S) as response,
            aclosing(_read_lines(response)) as lines,
        ):
            async for line in lines:
                if line.startswith(b"data: "):
                    yield _decode(line[6:])

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        total_ms: int | None = None,
        pause_s: float | None = None,
        accept: tuple[int, ...] = (200,),
        upload: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=None if total_ms is None else total_ms / 1_000,
            sock_connect=CONNECT_TIMEOUT_S,
            sock_read=pause_s,
        )
        session = self._get_session()
        try:
            async with session.request(
                method,
                f"{self._record.url}{path}",
                data=upload if body is None else io.BytesIO(msgspec.json.encode(body)),
                params=query,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status not in accept:
                    raise read_problem(await _read_json(response))
                yield response
        except TimeoutError:
            raise DeadlineExceeded(
                f"the node (pid {self.pid}) did not answer in time", hint="see its log"
            ) from None
        except aiohttp.ClientConnectorError:
            raise NoDaemon(
                f"the node (pid {self.pid}) does not answer at {self.api}",
                hint="`meshnode down` and `meshnode up` start it anew",
            ) from None
        except aiohttp.ClientError as error:
            raise NoDaemon(
                f"the node (pid {self.pid}) ended the connection: {type(error).__name__}",
                hint="`meshnode status` shows whether it runs",
            ) from None

    def _get_session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._closed:
            raise MeshError("this connection to the node is closed", hint="call connect() again")
        if self._session is None:
            token = self._record.token
            trust = make_client_context(self._record.certificate)
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                connector=None if trust is None else aiohttp.TCPConnector(ssl=trust),
                trust_env=False,
            )
        return self._session


def _make_question(prompt: str | Messages, **options: Any) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"prompt": prompt, **options}
    return {"messages": [dict(message) for message in prompt], **options}


def _make_vertex_path(vertex_id: str) -> str:
    if not vertex_id.isalnum():
        raise MalformedMessage(f"{vertex_id[:80]!r} is not a vertex id", hint="ids are hex")
    return f"/api/v1/vertices/{vertex_id}"


async def _read_json(response: aiohttp.ClientResponse) -> Any:
    return _decode(await response.read())


async def _read_lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Lines of any length up to the limit; aiohttp's own reader stops at 64 KiB."""
    pending = bytearray()
    async for data in response.content.iter_any():
        pending += data
        *lines, rest = pending.split(b"\n")
        pending = bytearray(rest)
        if len(pending) > LINE_BYTES_MAX:
            raise MalformedMessage(f"the node sent a line of more than {LINE_BYTES_MAX} bytes")
        for line in lines:
            if line:
                yield bytes(line)


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise MalformedMessage(
            "the node's answer is not JSON", hint="does another program use its port?"
        ) from None
