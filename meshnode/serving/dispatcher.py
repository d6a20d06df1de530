"""The router of one node, kept up to date: who is there, how busy, how fast, how far.

One object per node, shared by everything that asks: what a free question learns of a peer, a paid
one knows. Adverts come by themselves, loads with every answer, and `watch` probes who is silent.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from meshnode.routing.decision import Obstacle
from meshnode.routing.query import AUTO_MODEL, Query
from meshnode.routing.report import Peer, Report
from meshnode.routing.router import Router
from meshnode.routing.settings import Settings
from meshnode.serving.prompt_cache import digest_prompt, read_blocks
from meshnode.serving.reports import apply_load, make_report
from meshnode.serving.waiting import Absent, WaitingRoom
from meshnode.serving.watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    from meshnode.routing.decision import Candidate, Decision, Retry
    from meshnode.routing.faults import Fault
    from meshnode.serving.desk import Desk
    from meshnode.serving.port import MeshPort, ServingPeer
    from meshnode.serving.protocol import Load
    from meshnode.serving.protocol import Report as ReportFrame

OPENING_MAX: Final = 16
"""Streams to one peer that are being opened at once."""
PROBE_AFTER_MS: Final = 3_000
"""Who has neither reported nor been heard for so long is asked while questions are."""
_TROUBLES: Final = frozenset({Obstacle.BREAKER, Obstacle.DEAD, Obstacle.DRAINING})
"""What speaks against a peer whatever is asked."""
_UNCERTAIN: Final = frozenset({Obstacle.CONTEXT, Obstacle.TOOLS, Obstacle.THINKING})
_GONE: Final = frozenset({Obstacle.DEAD, Obstacle.EXPIRED})


class Dispatcher:
    """What this node knows of replicas; `router` decides."""

    def __init__(self, port: MeshPort, router: Router | None = None) -> None:
        self.router: Final = router or Router(Settings(probe_ms=PROBE_AFTER_MS))
        self._port = port
        self._desk: Desk | None = None
        self._peers: dict[str, ServingPeer] = {}
        self._reports: dict[str, Report] = {}
        self._doors: dict[str, asyncio.Semaphore] = {}
        self.watch: Final = Watch(port, self)
        self.room: Final = WaitingRoom(port)
        self.absent: Final = Absent()

    @property
    def peers(self) -> Mapping[str, ServingPeer]:
        """The ready peers, as of the last look."""
        return self._peers

    @property
    def has_desk(self) -> bool:
        """Whether there is an own engine."""
        return self._desk is not None

    def set_desk(self, desk: Desk) -> None:
        """There is an own engine."""
        self._desk = desk

    async def close(self) -> None:
        """End what runs behind questions."""
        await self.watch.close()
        await self.room.close()

    # --- what is known ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take over what has changed since the last look."""
        now_ms = self._port.read_clock_ms()
        found = {peer.peer: peer for peer in self._port.list_serving_peers()}
        for gone in [peer for peer in self._peers if peer not in found]:
            self._forget(gone, now_ms)
        for peer in found.values():
            self._take_peer(peer, self._peers.get(peer.peer), now_ms)
        self._peers = found
        if self._desk is not None:
            own = Peer(
                id=self._port.peer, name=self._port.name, author=self._port.author, local=True
            )
            self.router.on_peer(own)
            self.router.on_report(own.id, self._desk.reporter.make_own_report(), now_ms=now_ms)

    def _take_peer(self, peer: ServingPeer, before: ServingPeer | None, now_ms: int) -> None:
        name = peer.name or peer.author.hex()[:8]
        self.router.on_peer(Peer(id=peer.peer, name=name, author=peer.author))
        if peer.rtt_ms is not None and (before is None or before.rtt_ms != peer.rtt_ms):
            self.router.on_rtt(peer.peer, peer.rtt_ms * 1_000, now_ms=now_ms)
        if peer.reported_ms is None:
            return
        if before is None or not _is_same_report(before, peer):
            self._take_report(peer.peer, make_report(peer), now_ms=peer.reported_ms)
        self.router.on_heard(peer.peer, now_ms=peer.heard_ms)

    def _take_report(self, peer: str, report: Report, *, now_ms: int) -> None:
        before = self._reports.get(peer)
        if before is not None and before.incarnation != report.incarnation:
            self.watch.forget(peer)
        if self.router.on_report(peer, report, now_ms=now_ms):
            self.router.on_heartbeat(peer, now_ms=now_ms)
            self._reports[peer] = report
            self.absent.remove(peer)
            self.room.ring()

    def _forget(self, peer: str, now_ms: int) -> None:
        self.router.forget(peer)
        self.watch.forget(peer)
        report = self._reports.pop(peer, None)
        if report is not None:
            self.absent.add(peer, report, now_ms=now_ms)
        self._doors.pop(peer, None)

    def on_load(self, peer: str, load: Load | None) -> None:
        """An answer of a peer carried its load."""
        report = self._reports.get(peer)
        if load is not None and report is not None:
            self._take_report(peer, apply_load(report, load), now_ms=self._port.read_clock_ms())

    def on_report(self, peer: str, report: ReportFrame) -> None:
        """A peer was asked for its report."""
        self.on_load(peer, report.load)
        self.router.on_prefixes(
            peer,
            read_blocks(report.blocks),
            now_ms=self._port.read_clock_ms(),
            is_snapshot=report.complete,
        )

    def list_serving(self) -> tuple[str, ...]:
        """Peers that serve something."""
        return tuple(peer for peer, report in self._reports.items() if report.models)

    @asynccontextmanager
    async def opening(self, peer: str) -> AsyncIterator[None]:
        """While a stream to a peer is opened: a crowd at one door would keep itself from entering."""
        door = self._doors.setdefault(peer, asyncio.Semaphore(OPENING_MAX))
        async with door:
            yield

    def find_context_tokens(self, model: str) -> int:
        """The longest context in which a model is served; 0 where nobody says."""
        self.refresh()
        reports = list(self._reports.values())
        if self._desk is not None:
            reports.append(self._desk.reporter.make_own_report())
        return max(
            (
                offer.context_tokens
                for report in reports
                for offer in report.models
                if model in {AUTO_MODEL, offer.id}
            ),
            default=0,
        )

    def get_rtt_ms(self, peer: str) -> int:
        """The last round trip to a peer; 0 where none was measured."""
        known = self._peers.get(peer)
        return 0 if known is None or known.rtt_ms is None else known.rtt_ms

    def digest(self, request: Mapping[str, Any], model: str) -> tuple[int, ...]:
        """Digests of a prompt, for the revision of a model that most peers serve."""
        counts: dict[tuple[str, str], int] = {}
        for report in self._reports.values():
            for offer in report.models[: 1 if model == AUTO_MODEL else None]:
                if model in {AUTO_MODEL, offer.id}:
                    key = (offer.id, offer.revision)
                    counts[key] = counts.get(key, 0) + 1
        if not counts:
            return ()
        name, revision = max(sorted(counts), key=lambda key: counts[key])
        return digest_prompt(request, network=self._port.network, model=name, revision=revision)

    # --- choosing --------------------------------------------------------------------------------

    def choose(self, query: Query) -> tuple[Query, Decision]:
        """Where a question goes, and as what it was judged; keeps an eye on peers from now on.

        Sizes are estimates and abilities may be unknown: where nobody is certain to fit, one that
        may do is asked, and its engine has the last word.
        """
        self.refresh()
        self.watch.wake()
        now_ms, chance = self._port.read_clock_ms(), draw()
        decision = self.router.choose(query, now_ms=now_ms, draw=chance)
        if decision.chosen is None and any(
            each.obstacle in _UNCERTAIN for each in decision.candidates
        ):
            relaxed = dataclasses.replace(
                query, prompt_tokens=0, max_output_tokens=0, tools=False, thinking=False
            )
            second = self.router.choose(relaxed, now_ms=now_ms, draw=chance)
            if second.chosen is not None:
                return relaxed, second
        return query, decision

    def plan_retry(self, query: Query, peer: str, fault: Fault) -> Retry:
        """What follows a failure before the first token; spends of the retry budget."""
        self.refresh()
        return self.router.plan_retry(
            query, peer, fault, now_ms=self._port.read_clock_ms(), draw=draw()
        )

    def plan_resume(
        self,
        query: Query,
        candidate: Candidate,
        fault: Fault,
        *,
        resumed: int,
        tool_call_begun: bool,
    ) -> Retry:
        """What follows a failure after the first token."""
        self.refresh()
        return self.router.plan_resume(
            query,
            candidate,
            fault,
            now_ms=self._port.read_clock_ms(),
            draw=draw(),
            resumed=resumed,
            tool_call_begun=tool_call_begun,
        )

    def plan_hedge(self, ticket: int) -> Decision:
        """Where a second copy of a question goes; spends of the hedge budget."""
        self.refresh()
        return self.router.plan_hedge(ticket, now_ms=self._port.read_clock_ms(), draw=draw())

    def judge(self, query: Query, peer: str) -> Candidate | None:
        """One peer for a question that goes there whatever speaks against it."""
        self.refresh()
        asked = dataclasses.replace(query, peer=peer)
        decision = self.router.choose(asked, now_ms=self._port.read_clock_ms(), draw=draw())
        return next((each for each in decision.candidates if each.peer == peer), None)

    def is_dead(self, peer: str) -> bool:
        """Whether a peer that was there is taken to be gone."""
        self.refresh()
        if peer not in self._peers:
            return True
        judged = self.judge(Query(), peer)
        return judged is not None and (judged.is_suspect or judged.obstacle in _GONE)

    def list_troubled(self) -> tuple[bytes, ...]:
        """Authors of peers that had better not be asked now."""
        self.refresh()
        decision = self.router.choose(Query(), now_ms=self._port.read_clock_ms(), draw=draw())
        troubled = [each.peer for each in decision.candidates if each.obstacle in _TROUBLES]
        return tuple(self._peers[each].author for each in troubled if each in self._peers)


def _is_same_report(before: ServingPeer, peer: ServingPeer) -> bool:
    return (before.incarnation, before.sequence) == (peer.incarnation, peer.sequence)


def draw() -> int:
    """Chance, for who may not draw it itself."""
    return secrets.randbits(64)
