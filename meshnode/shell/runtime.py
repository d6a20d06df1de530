"""A running node, as the rest of the process sees it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from meshnode.core.commands import Publish, Renew
from meshnode.core.events import PeerReady
from meshnode.core.inputs import Rejected
from meshnode.errors import DeadlineExceeded
from meshnode.shell.market_history import MarketHistory
from meshnode.shell.pacing import Pace
from meshnode.shell.placement_log import PlacementLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consensus.decisions import Decisions
    from consensus.roll import Roll
    from dag.authors import AuthorDirectory
    from dag.errors import Offence
    from dag.genesis import Genesis
    from dag.types import TimeMs
    from dag.vertex import SignedVertex
    from market.state import MarketState
    from meshnode.core.commands import Command
    from meshnode.core.node import Node
    from meshnode.core.views import NodeView, PeerView
    from meshnode.shell.clock import TimeSource
    from meshnode.shell.commit_table import StoredCommit
    from meshnode.shell.gate import Gate, StreamHandler
    from meshnode.shell.inbox import Inbox
    from meshnode.shell.journal import Journal
    from meshnode.shell.runner import Runner
    from meshnode.shell.store import StoredVertex
    from meshnode.shell.subscriptions import EventHub, Subscription
    from meshnode.shell.telemetry import Telemetry
    from meshnode.transport.base import Transport

PUBLISH_MS = 30_000
EVENTS_MAX = 4_096


class Runtime:
    """Made by `meshnode.shell.lifecycle.open_runtime`; every method belongs to its event loop."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        author: bytes,
        profile: bytes,
        node: Node,
        clock: TimeSource,
        inbox: Inbox,
        gate: Gate,
        runner: Runner,
        hub: EventHub,
        journal: Journal,
        transport: Transport,
        telemetry: Telemetry,
    ) -> None:
        self.genesis = genesis
        self.author = author
        self.profile = profile
        """Body of the own profile as it is said; other keys and addresses come with `renew`."""
        self.transport = transport
        self.telemetry = telemetry
        self.placements = PlacementLog(journal)
        self._node = node
        self._clock = clock
        self._inbox = inbox
        self._gate = gate
        self._runner = runner
        self._hub = hub
        self._journal = journal
        self._market_history = MarketHistory(journal)
        self._pace = Pace(transport, self._get_ready_peers)
        self._stopped = asyncio.Event()

    # --- saying and doing ------------------------------------------------------------------------

    async def publish(
        self,
        kind: int,
        body: bytes,
        knowledge: tuple[bytes, ...] = (),
        *,
        timeout_ms: int = PUBLISH_MS,
    ) -> SignedVertex:
        """Author a vertex; it is durable when this returns.

        Waits a moment while most peers have more on the way to them than they take. Raises
        `CommandRejected`, `DeadlineExceeded`, or the failure that stopped the node.
        """
        await self._pace.wait()
        return await self._runner.publish(Publish(kind, body, knowledge), timeout_ms=timeout_ms)

    async def submit(self, command: Command) -> None:
        """Hand a command to the core; returns once it is taken. Raises `CommandRejected`."""
        await self._runner.submit(command)

    async def renew(self, profile: bytes) -> None:
        """Say another profile from now on. Raises `CommandRejected` where it is not this node's."""
        await self._runner.submit(Renew(profile))
        self.profile = profile

    def report_offence(self, peer: str, offence: Offence, detail: str) -> None:
        """Tell the core what a peer did wrong on a stream."""
        self._inbox.put_now([partial(Rejected, peer=peer, offence=offence, detail=detail)])

    def set_stream_handler(self, handler: StreamHandler | None) -> None:
        """Who serves streams that peers open; without one they are reset."""
        self._gate.set_stream_handler(handler)

    # --- looking ---------------------------------------------------------------------------------

    def view(self) -> NodeView:
        """The core's state at this moment."""
        return self._node.view()

    @property
    def decisions(self) -> Decisions:
        """What the mesh has decided and is asked, as of the last commit; read-only."""
        return self._node.machines.decisions

    @property
    def roll(self) -> Roll:
        """Who is a member, as of the last commit; read-only."""
        return self._node.machines.roll

    @property
    def authors(self) -> AuthorDirectory:
        """The keys of everybody who has been admitted."""
        return self._node.authors

    @property
    def market(self) -> MarketState:
        """Money, books and contracts, as of the last commit; read-only."""
        return self._node.machines.market

    @property
    def market_history(self) -> MarketHistory:
        """What commits did to the market, as far as it is remembered here."""
        return self._market_history

    def events(self, buffer_max: int = EVENTS_MAX) -> Subscription:
        """Everything that happens from now on; `SubscriberLagged` for who reads too slowly."""
        return self._hub.subscribe(buffer_max)

    async def read(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Wire bytes of stored vertices by id; ids that are not stored are left out."""
        return await self._journal.read(ids)

    async def scan(
        self,
        *,
        limit: int,
        kind: int | None = None,
        author: bytes | None = None,
        before: int | None = None,
    ) -> list[StoredVertex]:
        """The newest vertices first, optionally of one kind or author, or before a position."""
        return await self._journal.scan(limit=limit, kind=kind, author=author, before=before)

    async def read_commits(self, *, after: int, limit: int) -> list[StoredCommit]:
        """The commits behind an index, in order, at most `limit`."""
        return await self._journal.read_commits(after=after, limit=limit)

    async def find_commits(self, ids: Sequence[bytes]) -> dict[bytes, StoredCommit]:
        """By vertex, the commit that put it out; vertices that are not final are left out."""
        return await self._journal.find_commits(ids)

    async def find(self, prefix: bytes, *, limit: int = 2) -> list[bytes]:
        """Ids that start with these bytes, ascending."""
        return await self._journal.find(prefix, limit=limit)

    def now_ms(self) -> TimeMs:
        """The node's clock: Unix milliseconds that never go back."""
        return self._clock.now_ms()

    # --- waiting ---------------------------------------------------------------------------------

    async def wait_for_peer(self, author: bytes | None = None, *, timeout_ms: int) -> PeerView:
        """The first ready peer, or the one of this author, as soon as there is one.

        Raises `DeadlineExceeded`.
        """
        async with self.events() as events:
            try:
                async with asyncio.timeout(timeout_ms / 1_000):
                    found = self._find_peer(author)
                    while found is None:
                        event = await anext(events)
                        if isinstance(event, PeerReady):
                            found = self._find_peer(author)
            except TimeoutError:
                raise DeadlineExceeded(
                    f"no connection to {author.hex()[:16] if author else 'any peer'} "
                    f"within {timeout_ms} ms",
                    hint="`meshnode peers` lists what was tried",
                ) from None
        return found

    def _find_peer(self, author: bytes | None) -> PeerView | None:
        for peer in self.view().peers:
            if author is None or peer.author == author:
                return peer
        return None

    @property
    def failure(self) -> BaseException | None:
        """Why the node stopped by itself, if it did."""
        return self._runner.failure

    async def wait_stopped(self) -> None:
        """Until the node has stopped. Raises the failure that stopped it, if there was one."""
        await self._stopped.wait()
        if self.failure is not None:
            raise self.failure

    def _get_ready_peers(self) -> Sequence[str]:
        return self._node.get_ready_peers()

    def replace_node(self, node: Node) -> None:
        """The core was begun anew; called by the lifecycle."""
        self._node = node

    def note_stopped(self) -> None:
        """The runner has ended; called by the lifecycle."""
        self._stopped.set()
