"""The handle of a running node: everything an application can ask of it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dag.bodies import BlobNote, Note
from dag.canonical import encode
from dag.types import BODY_BYTES_MAX, Kind
from meshnode.errors import CommandRejected, DeadlineExceeded, NodeClosed
from meshnode.event_views import NodeEvent
from meshnode.node.addressing import OpenAIMethods
from meshnode.node.asking import AskingMethods, QuestionDesk
from meshnode.node.blob_opening import MIB, open_blobs
from meshnode.node.deciding import DecisionDesk
from meshnode.node.decision_methods import DecisionMethods
from meshnode.node.embedding import EmbeddingMethods
from meshnode.node.finding import show_ways
from meshnode.node.inviting import Inviter
from meshnode.node.lookup import Lookup
from meshnode.node.market_desk import MarketDesk
from meshnode.node.market_lookup import MarketLookup
from meshnode.node.market_methods import MarketMethods, MarketRoom
from meshnode.node.market_reader import MarketReader
from meshnode.node.measuring import Readings
from meshnode.node.member_methods import MemberMethods
from meshnode.node.members import MemberDesk
from meshnode.node.order import OrderReader
from meshnode.node.order_presenting import place, show_consensus
from meshnode.node.port import RuntimePort
from meshnode.node.presenting import (
    describe_problems,
    parse_kind,
    show_detail,
    show_engine,
    show_heads,
    show_peers,
    show_vertex,
)
from meshnode.node.route_methods import RouteMethods
from meshnode.node.sealing import keep_keys, make_keeper, make_sealing, show_sealing
from meshnode.node.setup import get_version
from meshnode.node.streams import StreamRouter
from meshnode.node.trade_port import RuntimeTradePort
from meshnode.public_text import check_public_text
from meshnode.quality.prober import Prober, open_prober
from meshnode.serving.client import Asker
from meshnode.serving.desk import Desk
from meshnode.serving.dispatcher import Dispatcher
from meshnode.serving.server import AnswerServer
from meshnode.trading.buying import Buyer
from meshnode.trading.room import open_room
from meshnode.trading.selling import Seller
from meshnode.views import (
    Finality,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    VertexDetail,
    VertexInfo,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from meshnode.config import NodeConfig
    from meshnode.discovery.service import Discovery
    from meshnode.engines.base import Engine
    from meshnode.node.blobs import Blobs
    from meshnode.node.setup import NodeSetup
    from meshnode.shell.runtime import Runtime
    from meshnode.trading.room import TradingRoom

    Messages = Sequence[Mapping[str, Any]]

INVITE_EXPIRES_IN_MS: Final = 24 * 3_600_000
DRAIN_MS: Final = 2_000
"""Answers under way may take this long to end when the node closes."""
VERTICES_MAX: Final = 1_000


class NodeHandle(
    AskingMethods,
    EmbeddingMethods,
    OpenAIMethods,
    RouteMethods,
    DecisionMethods,
    MemberMethods,
    MarketMethods,
):
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
        self._serves_free = config.serve_free
        self._token_ms_max = config.token_ms_max
        self._probe_spend_uruv = config.probe_spend_uruv if config.probe else None
        self._started_ms = runtime.now_ms()
        self._sealing = make_sealing(runtime, setup)
        self._keeper = (
            None if self._sealing is None else make_keeper(runtime, self._sealing, setup, config)
        )
        self._port = RuntimePort(
            runtime, name=setup.name, share=config.share, sealing=self._sealing
        )
        self._lookup = Lookup(runtime)
        self._order = OrderReader(runtime, self._lookup)
        self._decisions = DecisionDesk(runtime, self._lookup)
        self._market = self._make_market()
        self._discovery: Discovery | None = None
        self._buyer: Buyer | None = None
        self._room: TradingRoom | None = None
        self._dispatcher = Dispatcher(self._port)
        stack.push_async_callback(self._dispatcher.close)
        self._questions = QuestionDesk(
            runtime,
            self._lookup,
            self._port,
            Asker(self._port, None, self._dispatcher),
            find_desk=lambda: self._desk,
            find_buyer=lambda: self._buyer,
        )
        self._inviter = Inviter(setup, runtime)
        self._members = MemberDesk(runtime, self._lookup, self._inviter.book)
        self._blobs: Blobs | None = None
        self._blob_quota_bytes = config.blob_quota_mib * MIB
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

    @property
    def blobs(self) -> Blobs:
        """Content that is too large for a vertex."""
        self._require_runtime()
        assert self._blobs is not None, "it is opened before a handle is given out"
        return self._blobs

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
            sealing=None if self._sealing is None else show_sealing(self._sealing),
            problems=(*describe_problems(view), *self._list_key_problems()),
            ways=show_ways(self._discovery),
        )

    def readings(self) -> Readings:
        """What the node measures of itself, beside its status."""
        runtime = self._require_runtime()
        return Readings(
            telemetry=runtime.telemetry.snapshot(),
            work=runtime.telemetry.read_work(),
            questions=self._questions.meter.read(),
            market=self._market.reader.measure(),
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

    async def publish(
        self,
        content: str | bytes,
        *,
        title: str = "",
        media_type: str = "text/plain",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Share a note with the mesh; it is durable when this returns.

        Content that is too large for a vertex is kept as a blob, which the note names.
        """
        runtime = self._require_runtime()
        known = await self._lookup.find_vertices(knowledge)
        data = content.encode() if isinstance(content, str) else content
        check_public_text("the note", title, media_type, data.decode(errors="replace"))
        body = encode(Note(media_type=media_type, title=title, content=data))
        if len(body) > BODY_BYTES_MAX:
            ref = await self.blobs.keep_or_refuse(data, media_type=media_type)
            body = encode(BlobNote(media_type, title, b"", ref))
        signed = await runtime.publish(Kind.NOTE, body, tuple(vertex.id for vertex in known))
        return show_vertex(signed, self._lookup.list_names())

    async def invite(
        self,
        *,
        uses: int = 1,
        expires_in_ms: int = INVITE_EXPIRES_IN_MS,
        role: str = "peer",
        grant_uruv: int = 0,
    ) -> str:
        """A ticket that lets somebody join; it holds a secret. 0 ms never expires.

        Each newcomer is given `grant_uruv` of this node's free money once its profile is ordered.
        """
        self._require_runtime()
        return await self._inviter.invite(
            uses=uses, expires_in_ms=expires_in_ms, role=role, grant_uruv=grant_uruv
        )

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
            # Answers that come from elsewhere may end, too.
            await self._questions.meter.wait_quiet(timeout_ms=DRAIN_MS)
        finally:
            try:
                await self._stack.aclose()
            finally:
                self._ended.set()

    def set_discovery(self, discovery: Discovery) -> None:
        """What finds others, and tells others where members are; called once."""
        self._discovery = discovery
        self._router.set_discovery(discovery)

    async def start_sealing(self) -> None:
        """Look after the keys that receive sealed content; called once."""
        if self._keeper is not None:
            await self._stack.enter_async_context(keep_keys(self._keeper))

    async def start_blobs(self) -> None:
        """Hold, give and fetch blobs; called once, first of all."""
        self._blobs = await open_blobs(
            self._runtime,
            self._port,
            self._lookup,
            self._router,
            directory=self._setup.directory,
            quota_bytes=self._blob_quota_bytes,
            stack=self._stack,
        )
        self._questions.set_blobs(self._blobs)

    async def start_trading(self) -> None:
        """Buy and, with an engine, sell; probe where told to; called once, before the engine."""
        port = RuntimeTradePort(self._runtime, self._market.desk, self._setup.secrets)
        room = await self._stack.enter_async_context(open_room(port, self._setup.directory))
        self._room = room
        self._buyer = buyer = Buyer(room, self._port, Asker(self._port, None, self._dispatcher))
        if self._probe_spend_uruv is not None:
            prober = Prober(
                port,
                self._port,
                buyer,
                find_desk=lambda: self._desk,
                spend_uruv=self._probe_spend_uruv,
            )
            await self._stack.enter_async_context(open_prober(prober))

    async def start_engine(self, engine: Engine) -> None:
        """Serve with this engine; called once, when the node is opened."""
        desk = Desk(
            engine,
            self._port,
            serves_free=self._serves_free,
            token_ms_max=self._token_ms_max,
        )
        self._stack.push_async_callback(desk.close)
        await desk.start()
        self._desk = desk
        self._questions.set_asker(Asker(self._port, desk, self._dispatcher))
        deliveries = None if self._room is None else Seller(self._room, desk)
        self._router.set_answers(AnswerServer(desk, self._port, deliveries))

    # --- inside ----------------------------------------------------------------------------------

    def _list_key_problems(self) -> tuple[str, ...]:
        return (self._keeper.problem,) if self._keeper and self._keeper.problem else ()

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

    def _get_questions(self) -> QuestionDesk:
        self._require_runtime()
        return self._questions

    def _get_stack(self) -> AsyncExitStack:
        self._require_runtime()
        return self._stack

    def _find_engine(self) -> Engine | None:
        self._require_runtime()
        return None if self._desk is None else self._desk.engine

    def _get_decisions(self) -> DecisionDesk:
        self._require_runtime()
        return self._decisions

    def _get_members(self) -> MemberDesk:
        self._require_runtime()
        return self._members

    def _require_runtime(self) -> Runtime:
        if self._closed:
            raise _closed()
        return self._runtime


def _closed() -> NodeClosed:
    return NodeClosed("this node was closed", hint="open another one with meshnode.open_node()")
