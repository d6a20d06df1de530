"""Keeping an eye on peers while questions are asked: probes of who is silent, digests of caches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError
from meshnode.errors import InvalidMessage, TransportError
from meshnode.serving.probes import ask_whether_reached, fetch_report

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from meshnode.serving.dispatcher import Dispatcher
    from meshnode.serving.port import MeshPort

WATCH_MS: Final = 1_000
"""How often peers are looked at while questions are asked."""
IDLE_MS: Final = 60_000
"""So long after the last question peers are no longer looked at."""
DIGESTS_EVERY_MS: Final = 30_000
"""How often the digests of a peer's prompt cache are fetched."""
PROBES_MAX: Final = 8
"""Probes under way."""
WITNESSES: Final = 3
"""Peers that are asked whether they can reach a silent one."""


class Watch:
    """The probes of one node."""

    def __init__(self, port: MeshPort, dispatcher: Dispatcher) -> None:
        self._port = port
        self._dispatcher = dispatcher
        self._probing: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By who is asked, and about whom."""
        self._fetched_ms: dict[str, int] = {}
        self._generations: dict[str, int] = {}
        self._asked_ms = 0
        self._watching: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """A question is asked: look at peers from now on."""
        self._asked_ms = self._port.read_clock_ms()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._keep_watching(), name="watch replicas")

    def forget(self, peer: str) -> None:
        """A peer is gone, or has started anew with an empty cache."""
        self._fetched_ms.pop(peer, None)
        self._generations.pop(peer, None)

    async def close(self) -> None:
        """End every probe."""
        tasks = [*self._probing.values(), *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep_watching(self) -> None:
        while self._port.read_clock_ms() - self._asked_ms < IDLE_MS:
            self._dispatcher.refresh()
            self.look()
            await asyncio.sleep(WATCH_MS / 1_000)

    def look(self) -> None:
        """Begin the probes that are due."""
        now_ms = self._port.read_clock_ms()
        self._probing = {key: task for key, task in self._probing.items() if not task.done()}
        router, serving = self._dispatcher.router, self._dispatcher.list_serving()
        for peer in serving:
            self._fetched_ms.setdefault(peer, now_ms)
        stale = [peer for peer in serving if now_ms - self._fetched_ms[peer] >= DIGESTS_EVERY_MS]
        due = router.list_due_probes(now_ms=now_ms)
        for peer in dict.fromkeys([*(each for each in due if each in serving), *stale]):
            self._begin(peer, "", self._fetch(peer))
        for silent in router.list_silent(now_ms=now_ms):
            author = self._dispatcher.peers[silent].author
            witnesses = [peer for peer in serving if peer != silent][:WITNESSES]
            for witness in witnesses:
                self._begin(witness, silent, self._ask_about(witness, silent, author))

    def _begin(self, peer: str, about: str, probe: Coroutine[None, None, None]) -> None:
        if (peer, about) in self._probing or len(self._probing) >= PROBES_MAX:
            probe.close()
            return
        self._probing[peer, about] = asyncio.create_task(probe, name="probe")

    async def _fetch(self, peer: str) -> None:
        self._fetched_ms[peer] = self._port.read_clock_ms()
        try:
            report = await fetch_report(self._port, peer, self._generations.get(peer, 0))
        except (TransportError, TimeoutError, EngineError):
            return  # whoever does not answer grows old
        except InvalidMessage as error:
            self._port.report_offence(peer, error)
            return
        self._generations[peer] = report.generation
        self._dispatcher.on_report(peer, report)

    async def _ask_about(self, witness: str, silent: str, author: bytes) -> None:
        try:
            reached = await ask_whether_reached(self._port, witness, author)
        except (TransportError, TimeoutError, EngineError):
            return  # it says nothing about the silent one
        except InvalidMessage as error:
            self._port.report_offence(witness, error)
            return
        self._dispatcher.router.on_probe(silent, reached=reached, now_ms=self._port.read_clock_ms())
