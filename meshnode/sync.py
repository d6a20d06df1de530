"""A node for code that is not asynchronous: scripts, notebooks, debuggers.

    with meshnode.sync.Node() as node:
        print(node.ask("What is the capital of France?").text)

Each `Node` has an event loop of its own in one background thread, so it also works where a loop
runs already, as in Jupyter. Ctrl-C cancels the call in progress, and the work of whoever answers.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from meshnode.client import connect as connect_remote
from meshnode.errors import NodeClosed
from meshnode.node import open_node
from meshnode.openai_client import make_blocking_openai_client
from meshnode.sync_blobs import SyncBlobs
from meshnode.sync_market import SyncMarket
from meshnode.sync_members import SyncMembers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType

    from openai import OpenAI

    from meshnode.decision_views import DecisionInfo
    from meshnode.event_views import NodeEvent
    from meshnode.market_views import MarketUpdate
    from meshnode.openai_client import OpenAIDoor
    from meshnode.route_views import PlacementInfo, RouteInfo
    from meshnode.views import (
        Answer,
        Finality,
        HeadsInfo,
        NodeStatus,
        PeerInfo,
        StreamItem,
        VertexDetail,
        VertexInfo,
    )

    Opener = Callable[[], AbstractAsyncContextManager[Any]]

T = TypeVar("T")
_END: Any = object()


class Node(SyncMembers, SyncMarket):
    """The blocking form of `NodeHandle`: the same methods with the same arguments."""

    def __init__(self, *args: Any, _opener: Opener | None = None, **options: Any) -> None:
        """Open a node, with the arguments of `meshnode.open_node`."""
        self._worker = _Worker(_opener or partial(open_node, *args, **options))
        self._handle = self._worker.start()
        # Ends a node that was forgotten. At the end of the interpreter it is too late for that:
        # no thread takes work any more, so the node ends like a killed one, which loses nothing.
        self._finalizer = weakref.finalize(self, self._worker.stop)
        self._finalizer.atexit = False

    @classmethod
    def connect(cls, home: str | Path | None = None) -> Self:
        """The node that `meshnode up` started, as `meshnode.connect` finds it."""
        return cls(_opener=partial(connect_remote, home))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the node, or drop the connection to it. Harmless twice."""
        self._finalizer()

    @property
    def author(self) -> str:
        """Who this node is: its author id, in hex."""
        return self.status().author

    @property
    def name(self) -> str:
        """How people call this node."""
        return self.status().name

    @property
    def peer_id(self) -> str:
        """This node's transport id."""
        return self.status().peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node can be dialled."""
        return self.status().addresses

    @property
    def blobs(self) -> SyncBlobs:
        """Content that is too large for a vertex."""

        def call(name: str, *args: Any, **options: Any) -> Any:
            return self._worker.run(getattr(self._handle.blobs, name)(*args, **options))

        def iterate(name: str, *args: Any, **options: Any) -> Generator[Any, None, None]:
            return self._iterate(lambda: getattr(self._handle.blobs, name)(*args, **options))

        return SyncBlobs(call, iterate)

    def status(self) -> NodeStatus:
        """The node at a glance."""
        status: NodeStatus = self._worker.run(self._handle.status())
        return status

    def peers(self) -> list[PeerInfo]:
        """The other members."""
        peers: list[PeerInfo] = self._worker.run(self._handle.peers())
        return peers

    def heads(self) -> HeadsInfo:
        """What the store amounts to."""
        heads: HeadsInfo = self._worker.run(self._handle.heads())
        return heads

    def vertices(self, **options: Any) -> list[VertexInfo]:
        """The newest vertices."""
        vertices: list[VertexInfo] = self._worker.run(self._handle.vertices(**options))
        return vertices

    def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""
        vertex: VertexDetail = self._worker.run(self._handle.vertex(vertex_id))
        return vertex

    def finality(self, vertex_id: str, *, wait_ms: int = 0) -> Finality:
        """Whether a vertex has its place in the agreed order; waits so long for it to get one."""
        found: Finality = self._worker.run(self._handle.finality(vertex_id, wait_ms=wait_ms))
        return found

    def route(self, prompt: Any = "", *, model: str = "auto") -> RouteInfo:
        """Where a question would go now and why; nothing is asked."""
        found: RouteInfo = self._worker.run(self._handle.route(prompt, model=model))
        return found

    def placements(self, *, limit: int = 50) -> list[PlacementInfo]:
        """What the node decided on letting engines answer questions, the newest first."""
        found: list[PlacementInfo] = self._worker.run(self._handle.placements(limit=limit))
        return found

    def ask(self, prompt: Any, **options: Any) -> Answer:
        """Ask the mesh and wait for the whole answer."""
        answer: Answer = self._worker.run(self._handle.ask(prompt, **options))
        return answer

    def publish(self, content: str | bytes, **options: Any) -> VertexInfo:
        """Share a note with the mesh."""
        vertex: VertexInfo = self._worker.run(self._handle.publish(content, **options))
        return vertex

    def propose(self, question: str, **options: Any) -> VertexInfo:
        """Put a question to the mesh."""
        vertex: VertexInfo = self._worker.run(self._handle.propose(question, **options))
        return vertex

    def propose_committee(self, stakes: Mapping[str, int], **options: Any) -> VertexInfo:
        """Ask the validators for another committee."""
        vertex: VertexInfo = self._worker.run(self._handle.propose_committee(stakes, **options))
        return vertex

    def vote(self, decision_id: str, option: str, **options: Any) -> VertexInfo:
        """Answer a question."""
        vertex: VertexInfo = self._worker.run(self._handle.vote(decision_id, option, **options))
        return vertex

    def decisions(self, **options: Any) -> list[DecisionInfo]:
        """Questions and where they stand, newest first."""
        found: list[DecisionInfo] = self._worker.run(self._handle.decisions(**options))
        return found

    def decision(self, decision_id: str, *, wait_ms: int = 0) -> DecisionInfo:
        """One question, by its id or the beginning of it; waits so long for its end."""
        found: DecisionInfo = self._worker.run(self._handle.decision(decision_id, wait_ms=wait_ms))
        return found

    def embed(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the JSON object of `POST /v1/embeddings` with the node's own engine."""
        answer: dict[str, Any] = self._worker.run(self._handle.embed(request))
        return answer

    def openai(self) -> OpenAI:
        """A blocking client of OpenAI's SDK that asks this node; close it like any other.

        Raises `ConfigError` where the package `openai` is not installed.
        """

        async def open_door() -> OpenAIDoor:
            door: OpenAIDoor = self._handle.open_openai_door()
            return door

        return make_blocking_openai_client(self._worker.run(open_door()))

    def wait_for_peers(self, count: int = 1, *, timeout_ms: int) -> None:
        """Until so many peers are connected and ready. Raises `DeadlineExceeded`."""
        self._worker.run(self._handle.wait_for_peers(count, timeout_ms=timeout_ms))

    def stream(self, prompt: Any, **options: Any) -> Generator[StreamItem, None, None]:
        """Ask the mesh and take the answer as it comes; leaving the loop stops the work."""
        return self._iterate(lambda: self._handle.stream(prompt, **options))

    def events(self, *, after: int | None = None) -> Generator[NodeEvent, None, None]:
        """What happens from now on; blocks while nothing does.

        With `after` the commits behind that index come first.
        """
        return self._iterate(lambda: self._handle.events(after=after))

    def market_watch(self, *, after: int | None = None) -> Generator[MarketUpdate, None, None]:
        """What each commit does to the market from now on; blocks while nothing does."""
        return self._iterate(lambda: self._handle.market_watch(after=after))

    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        return self._worker.run(getattr(self._handle, name)(*args, **options))

    def _iterate(self, start: Callable[[], AsyncIterator[T]]) -> Generator[T, None, None]:
        items: Any = start()
        try:
            while (item := self._worker.run(_take_next(items))) is not _END:
                yield item
        finally:
            if self._finalizer.alive:
                self._worker.run(items.aclose())


async def _take_next(items: AsyncIterator[T]) -> T:
    async for item in items:
        return item
    return _END  # type: ignore[no-any-return]  # a mark that no item equals


class _Worker:
    """The background thread: opens, serves calls, closes."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._loop = asyncio.new_event_loop()
        self._opened: Future[Any] = Future()
        self._main: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="meshnode", daemon=True)

    def start(self) -> Any:
        """Open the node; returns its handle, or raises what kept it from opening."""
        self._thread.start()
        try:
            return self._opened.result()
        except BaseException:
            self._call(self._cancel_main)
            self._thread.join()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work in the loop and wait for it; an interrupt cancels it."""
        if not self._thread.is_alive():
            work.close()
            raise NodeClosed("this node was closed", hint="open another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Close the node and end the thread."""
        # Collecting garbage may end a forgotten node inside its own thread: that cannot wait.
        if self._thread.is_alive():
            self._call(self._stopping.set)
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return  # the loop has ended in this very moment, which is what was wanted

    def _cancel_main(self) -> None:
        if self._main is not None:
            self._main.cancel()

    def _live(self) -> None:
        loop = self._loop
        try:
            self._main = loop.create_task(self._open_and_wait())
            loop.run_until_complete(asyncio.wait({self._main}))
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    async def _open_and_wait(self) -> None:
        try:
            async with self._opener() as handle:
                self._opened.set_result(handle)
                await self._stopping.wait()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)


async def _end_tasks() -> None:
    """Cancel calls that are still waiting; their callers get `CancelledError`."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
