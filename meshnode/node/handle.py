"""The handle of a running node: everything an application can ask of it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dag.bodies import Note
from dag.canonical import encode
from dag.genesis import Share
from dag.types import Kind
from meshnode.errors import CommandRejected, DeadlineExceeded, NodeClosed
from meshnode.event_views import NodeEvent
from meshnode.node.deciding import DecisionDesk
from meshnode.node.decision_methods import DecisionMethods
from meshnode.node.inviting import Inviter
from meshnode.node.lookup import Lookup
from meshnode.node.market_desk import MarketDesk
from meshnode.node.market_lookup import MarketLookup
from meshnode.node.market_methods import MarketMethods, MarketRoom
from meshnode.node.market_reader import MarketReader
from meshnode.node.order import OrderReader
from meshnode.node.order_presenting import place, show_consensus
from meshnode.node.port import RuntimePort
from meshnode.node.presenting import (
    describe_problems,
    make_knowledge_text,
    parse_kind,
    show_detail,
    show_engine,
    show_heads,
    show_peers,
    show_vertex,
)
from meshnode.node.setup import get_version
from meshnode.node.streams import StreamRouter
from meshnode.serving.client import Asker, Question
from meshnode.serving.desk import Desk
from meshnode.serving.server import AnswerServer
from meshnode.views import (
    Answer,
    Finality,
    Finished,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    StreamItem,
    VertexDetail,
    VertexInfo,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from dag.vertex import SignedVertex
    from meshnode.config import NodeConfig
    from meshnode.engines.base import Engine
    from meshnode.node.setup import NodeSetup
    from meshnode.shell.runtime import Runtime

    Messages = Sequence[Mapping[str, Any]]

ASK_TIMEOUT_MS: Final = 120_000
INVITE_EXPIRES_IN_MS: Final = 24 * 3_600_000
YOUNG_MS: Final = 10_000
SETTLE_MS: Final = 1_500
"""A question to a node younger than `YOUNG_MS` waits this long for its peers' adverts."""
DRAIN_MS: Final = 2_000
"""Answers under way may take this long to end when the node closes."""
VERTICES_MAX: Final = 1_000


class NodeHandle(DecisionMethods, MarketMethods):
    """A running node; made by `meshnode.open_node`. Every method belongs to its event loop.

    Methods raise `NodeClosed` once the node has ended, and `MeshError`s otherwise.
    """

    def __init__(
        self, setup: NodeSetup, config: NodeConfig, runtime: Runtime, stack: AsyncExitStack
    ) -> None:
        self._setup = setup
        self._runtime = runtime
        self._stack = stack
        self._closed = False
        self._ended = asyncio.Event()
        self._desk: Desk | None = None
        self._started_ms = runtime.now_ms()
        self._port = RuntimePort(runtime, name=setup.name, share=config.share)
        self._asker = Asker(self._port, None)
        self._lookup = Lookup(runtime)
        self._order = OrderReader(runtime, self._lookup)
        self._decisions = DecisionDesk(runtime, self._lookup)
        self._market = self._make_market()
        self._inviter = Inviter(setup, runtime)
        self._router = StreamRouter(runtime, self._port, self._inviter.make_join_server())
        runtime.set_stream_handler(self._router.serve)

    # --- looking ---------------------------------------------------------------------------------

    @property
    def author(self) -> str:
        """Who this node is: its author id, in hex."""
        return self._runtime.author.hex()

    @property
    def name(self) -> str:
        """How people call this node."""
        return self._setup.name

    @property
    def peer_id(self) -> str:
        """This node's transport id."""
        return self._runtime.transport.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node can be dialled."""
        return self._runtime.transport.addresses

    async def status(self) -> NodeStatus:
        """The node at a glance."""
        runtime, setup = self._require_runtime(), self._setup
        view, genesis = runtime.view(), setup.genesis
        return NodeStatus(
            version=get_version(),
            name=setup.name,
            author=self.author,
            peer_id=runtime.transport.peer_id,
            network=view.network.hex(),
            network_name=genesis.name,
            network_kind=genesis.kind,
            suite=genesis.suite,
            share=self._port.share,
            addresses=runtime.transport.addresses,
            uptime_ms=runtime.now_ms() - self._started_ms,
            pid=os.getpid(),
            members=len(view.members),
            peers_ready=len(view.peers),
            vertices=view.vertices,
            heads=len(view.heads),
            heads_digest=view.heads_digest.hex(),
            lamport=view.lamport,
            quarantined=view.quarantined,
            publishing="ready" if view.speech == "open" else view.speech,
            forks=len(view.forks),
            offences=view.offences,
            counters=dict(sorted(runtime.transport.counters.items())),
            engine=None if self._desk is None else show_engine(self._desk),
            home=None if setup.home is None else str(setup.home.path),
            key_mode=setup.key_mode,
            consensus=show_consensus(
                view.consensus, self._lookup.list_names(), now_ms=runtime.now_ms()
            ),
            money=self._market.reader.show_money(),
            unanswered=runtime.decisions.count_unanswered(runtime.author),
            problems=tuple(describe_problems(view)),
        )

    async def peers(self) -> list[PeerInfo]:
        """The other members, connected ones first."""
        return show_peers(self._require_runtime().view())

    async def heads(self) -> HeadsInfo:
        """What the store amounts to; equal digests on two nodes mean equal stores."""
        return show_heads(self._require_runtime().view())

    async def vertices(
        self, *, limit: int = 50, kind: str | None = None, author: str | None = None
    ) -> list[VertexInfo]:
        """The newest vertices, optionally of one kind or author (id, start of it, or name)."""
        runtime = self._require_runtime()
        if not 1 <= limit <= VERTICES_MAX:
            raise CommandRejected(
                f"{limit} vertices cannot be listed", hint=f"ask for 1 to {VERTICES_MAX}"
            )
        stored = await runtime.scan(
            limit=limit,
            kind=None if kind is None else parse_kind(kind),
            author=None if author is None else self._lookup.find_author(author),
        )
        names = self._lookup.list_names()
        commits = await runtime.find_commits([item.signed.id for item in stored])
        return place([show_vertex(item.signed, names) for item in stored], commits)

    async def vertex(self, vertex_id: str) -> VertexDetail:
        """One vertex, by its id or the beginning of it."""
        self._require_runtime()
        signed = await self._lookup.find_vertex(vertex_id)
        detail = show_detail(signed, self._lookup.list_names())
        return replace(detail, finality=await self._order.finality(signed.id.hex(), 0))

    async def finality(self, vertex_id: str, *, wait_ms: int = 0) -> Finality:
        """Whether a vertex has its place in the agreed order, which nothing can change then.

        With `wait_ms` as soon as it has, or when that time is over: `final` tells which.
        """
        self._require_runtime()
        return await self._order.finality(vertex_id, wait_ms)

    async def events(self, *, after: int | None = None) -> AsyncGenerator[NodeEvent, None]:
        """What happens from now on; `EventsLost` where the reader was too slow.

        Every commit comes as one `VerticesOrdered`, in order, each once, however slow the reader
        is. With `after`, the index of the last commit that was dealt with, those behind it come
        first, also those of before a restart; 0 begins with the first.
        """
        self._require_runtime()
        async with aclosing(self._order.follow(after)) as events:
            async for event in events:
                yield event

    # --- asking ----------------------------------------------------------------------------------

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
    ) -> Answer:
        """Ask the mesh and wait for the whole answer; the arguments are those of `stream`."""
        items = self.stream(
            prompt,
            model=model,
            share=share,
            timeout_ms=timeout_ms,
            knowledge=knowledge,
            peer=peer,
            max_tokens=max_tokens,
            temperature=temperature,
            extra=extra,
        )
        async with aclosing(items):
            async for item in items:
                if isinstance(item, Finished):
                    return item.answer
        raise AssertionError("a stream ends with `Finished` or an error")

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
    ) -> AsyncGenerator[StreamItem, None]:
        """Ask the mesh and take the answer as it comes.

        Leaving the iterator, or cancelling who reads it, stops the work of whoever answers.

        Args:
            prompt: A question, or a list of chat messages.
            model: A model's id, or `auto`.
            share: `digest` keeps the answer out of the result vertex.
            timeout_ms: For everything, from now to the last word.
            knowledge: Vertices the question builds on: their text precedes it, and they become
                parents of the result.
            peer: Ask only this one: its id, the start of it, or its name.
            max_tokens: Longest answer.
            temperature: As the model understands it.
            extra: Further fields of the request, passed on as they are.
        """
        await self._settle(model)
        known = await self._lookup.find_vertices(knowledge)
        request: dict[str, Any] = {**(extra or {}), "messages": _make_messages(prompt, known)}
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        if temperature is not None:
            request["temperature"] = temperature
        question = Question(
            request=request,
            model=model,
            share=_check_share(share),
            timeout_ms=timeout_ms,
            knowledge=tuple(signed.id for signed in known),
            peer=peer or "",
        )
        async with aclosing(self._asker.stream(question)) as items:
            async for item in items:
                yield item

    async def publish(
        self,
        content: str | bytes,
        *,
        title: str = "",
        media_type: str = "text/plain",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Share a note with the mesh; it is durable when this returns."""
        runtime = self._require_runtime()
        known = await self._lookup.find_vertices(knowledge)
        data = content.encode() if isinstance(content, str) else content
        body = encode(Note(media_type=media_type, title=title, content=data))
        signed = await runtime.publish(Kind.NOTE, body, tuple(vertex.id for vertex in known))
        return show_vertex(signed, self._lookup.list_names())

    async def invite(
        self, *, uses: int = 1, expires_in_ms: int = INVITE_EXPIRES_IN_MS, role: str = "peer"
    ) -> str:
        """A ticket that lets somebody join; it holds a secret. 0 ms never expires."""
        self._require_runtime()
        return await self._inviter.invite(uses=uses, expires_in_ms=expires_in_ms, role=role)

    # --- waiting and ending ----------------------------------------------------------------------

    async def wait_for_peers(self, count: int = 1, *, timeout_ms: int) -> None:
        """Until so many peers are connected and ready. Raises `DeadlineExceeded`."""
        runtime = self._require_runtime()
        try:
            async with runtime.events() as events, asyncio.timeout(timeout_ms / 1000):
                if len(runtime.view().peers) >= count:
                    return
                async for _ in events:
                    if len(runtime.view().peers) >= count:
                        return
        except TimeoutError:
            raise DeadlineExceeded(
                f"{len(runtime.view().peers)} of {count} peers were ready within {timeout_ms} ms",
                hint="`meshnode peers` lists what was tried",
            ) from None
        raise _closed()

    async def wait_stopped(self) -> None:
        """Until the node has ended. Raises what made it end by itself, if anything did."""
        await self._runtime.wait_stopped()

    async def close(self) -> None:
        """Stop the node; leaving the block of `open_node` does the same. Harmless twice."""
        if self._closed:
            await self._ended.wait()
            return
        self._closed = True
        try:
            if self._desk is not None:
                await self._desk.drain(timeout_ms=DRAIN_MS)
        finally:
            try:
                await self._stack.aclose()
            finally:
                self._ended.set()

    async def start_engine(self, engine: Engine) -> None:
        """Serve with this engine; called once, when the node is opened."""
        desk = Desk(engine, self._port)
        self._stack.push_async_callback(desk.close)
        await desk.start()
        self._desk = desk
        self._asker = Asker(self._port, desk)
        self._router.set_answers(AnswerServer(desk, self._port))

    # --- inside ----------------------------------------------------------------------------------

    async def _settle(self, model: str) -> None:
        """Right after its start a node has yet to hear what others serve: give them a moment."""
        runtime = self._require_runtime()
        if self._desk is not None and self._desk.make_replica().find_model(model) is not None:
            return
        others = any(member.id != runtime.author for member in runtime.view().members)
        if others and runtime.now_ms() - self._started_ms < YOUNG_MS:
            await self._port.settle(timeout_ms=SETTLE_MS)

    def _make_market(self) -> MarketRoom:
        lookup = MarketLookup(self._runtime, self._lookup)
        reader = MarketReader(self._runtime, lookup)
        desk = MarketDesk(self._runtime, self._lookup, self._order, reader)
        return MarketRoom(reader, desk, lookup)

    def _get_market(self) -> MarketRoom:
        self._require_runtime()
        return self._market

    def _read_clock_ms(self) -> int:
        return self._require_runtime().now_ms()

    def _get_decisions(self) -> DecisionDesk:
        self._require_runtime()
        return self._decisions

    def _require_runtime(self) -> Runtime:
        if self._closed:
            raise _closed()
        return self._runtime


def _closed() -> NodeClosed:
    return NodeClosed("this node was closed", hint="open another one with meshnode.open_node()")


def _check_share(share: str | None) -> Share:
    match share:
        case None | "full":
            return "full"
        case "digest":
            return "digest"
        case _:
            raise CommandRejected(f"share is '{share}'", hint="choose 'full' or 'digest'")


def _make_messages(prompt: str | Messages, known: list[SignedVertex]) -> list[Any]:
    messages: list[Any] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    )
    texts = [text for signed in known if (text := make_knowledge_text(signed))]
    if not texts:
        return messages
    content = "\n\n".join(["Build on this knowledge:", *texts])
    return [{"role": "system", "content": content}, *messages]
