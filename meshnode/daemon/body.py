"""The process body of `meshnode up`: one node and its HTTP interface, from start to a clean end.

Order: the home folder is locked; HTTP listens and the runtime file is written, so that people and
service managers can watch the rest; the node opens (keys, journal, network, engine), which may take
long; ready. A signal, the API, or a failure of the node ends it in the reverse order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Protocol

from meshnode.config import API_DEFAULT
from meshnode.config_file import resolve_engine_options
from meshnode.errors import CommandRejected
from meshnode.gateway.port import MeshNode, NotReady, Phase
from meshnode.home import get_default_home, open_home
from meshnode.joining import check_may_leave, join_home
from meshnode.passphrase import read_passphrase
from meshnode.runtime_file import make_runtime_record, remove_runtime, write_runtime
from meshnode.ticket import decode_ticket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.config import NodeConfig
    from meshnode.home import Home
    from meshnode.node.measuring import Readings
    from meshnode.transport.base import Transport
    from meshnode.views import NodeStatus

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class OwnNode(MeshNode, Protocol):
    """A node of this process."""

    def readings(self) -> Readings:
        """What it measures of itself."""

    async def wait_stopped(self) -> None:
        """Until the node stops by itself. Raises why it did."""


OnPhase = Callable[[str, str], None]


class OpenNode(Protocol):
    """Opens a node, by default `meshnode.node.open_node`."""

    def __call__(
        self, config: NodeConfig, *, ticket: str | None, on_phase: OnPhase
    ) -> AbstractAsyncContextManager[OwnNode]:
        """A node of the home's current network; with a ticket, one that just joined it."""


class PhaseListener(Protocol):
    """Hears how far the process is."""

    def __call__(self, phase: Phase, *, api: str) -> None:
        """A new phase began; `api` is where HTTP listens."""


async def run_daemon(
    config: NodeConfig,
    *,
    ticket: str | None = None,
    on_phase: PhaseListener | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run a node until it is told to stop. Raises whatever kept it from starting or running.

    With a `ticket` the home joins that network first. `stop` ends the node from within the
    process, beside signals and the API.
    """
    await Daemon(config, on_phase=on_phase, stop=stop).run(ticket)


class Daemon:
    """The running process, as its HTTP interface sees it (`meshnode.gateway.port.NodeHost`)."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        on_phase: PhaseListener | None = None,
        stop: asyncio.Event | None = None,
        open_node: OpenNode | None = None,
        make_join_transport: Callable[[], Transport | None] = lambda: None,
    ) -> None:
        """`open_node` and `make_join_transport` stand in for the real ones."""
        self._config = config
        self._on_phase = on_phase
        self._stop = stop or asyncio.Event()
        self._open_node = open_node or _open_real_node
        self._make_join_transport = make_join_transport
        self._api = config.api or API_DEFAULT
        self._name, self._detail, self._began_s = "opening", "opening the home", time.monotonic()
        self._home: Home | None = None
        self._node: OwnNode | None = None
        self._ready = asyncio.Event()
        self._leave = asyncio.Event()
        self._moved_with: str | None = None
        self._joining = asyncio.Lock()

    # --- what HTTP asks ----------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """How far the process is."""
        elapsed_ms = int((time.monotonic() - self._began_s) * 1_000)
        return Phase(name=self._name, detail=self._detail, elapsed_ms=elapsed_ms)

    def get_node(self) -> MeshNode:
        """The node. Raises `NotReady` while there is none."""
        if self._node is None:
            phase = self.phase
            raise NotReady(
                f"the node is not ready: {phase.detail} for {phase.elapsed_ms // 1_000} s",
                hint="try again in a moment, or watch /startupz",
                phase=phase.name,
            )
        return self._node

    def read_meters(self) -> Readings | None:
        """What the node measures of itself; None while there is none."""
        return None if self._node is None else self._node.readings()

    def request_shutdown(self) -> None:
        """Stop soon."""
        self._stop.set()

    async def join(self, ticket: str) -> NodeStatus:
        """Join the ticket's network, if this node is alone in its own. Raises `CommandRejected`.

        Until the other side has let this node in, the running node goes on undisturbed.
        """
        if self._joining.locked():
            raise CommandRejected("this node is joining a network already", hint="wait for it")
        async with self._joining:
            self.get_node()
            await self._join_home(ticket)
            self._moved_with = ticket
            self._ready.clear()
            self._leave.set()
            await _wait_first(self._ready, self._stop)
            return await self.get_node().status()

    # --- life --------------------------------------------------------------------------------

    async def run(self, ticket: str | None = None) -> None:
        """Everything, until told to stop."""
        config = self._config = await asyncio.to_thread(_complete, self._config)
        now_ms = time.time_ns() // 1_000_000
        assert config.home is not None
        self._home = home = await asyncio.to_thread(
            open_home, config.home, check=config.host_binding
        )
        with home.lock(now_ms=now_ms, name="daemon"), self._catch_signals():
            async with self._serve_http(home, now_ms):
                try:
                    await self._keep_node(ticket)
                finally:
                    self._stop.set()  # whoever waits for the node waits no longer

    @asynccontextmanager
    async def _serve_http(self, home: Home, since_ms: int) -> AsyncIterator[None]:
        from meshnode.gateway.app import Gateway
        from meshnode.gateway.tls import TlsFiles

        config = self._config
        gateway = Gateway(
            self,
            api=config.api,
            insecure=config.api_insecure,
            since_ms=since_ms,
            home=home.path,
            tls=TlsFiles(config.api_cert, config.api_key_file),
        )
        await gateway.start()
        try:
            self._api = gateway.api
            record = make_runtime_record(
                api=gateway.api,
                token=gateway.token,
                since_ms=since_ms,
                version=version("meshnode"),
                certificate=config.api_cert,
            )
            await asyncio.to_thread(write_runtime, home.runtime_path, record)
            try:
                yield
            finally:
                await asyncio.to_thread(remove_runtime, home.runtime_path)
        finally:
            await gateway.close()

    async def _keep_node(self, ticket: str | None) -> None:
        """Open the node, and again after it joined another network, until told to stop."""
        joined = False
        while True:
            self._moved_with = None
            self._leave.clear()
            keeper = asyncio.create_task(self._run_node(ticket, joined=joined), name="node")
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            try:
                await asyncio.wait({keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if self._node is not None:
                    self._leave.set()
                else:
                    keeper.cancel()  # still opening, or at its end already
                await asyncio.wait({keeper})
            finally:
                stopping.cancel()
                keeper.cancel()
                await asyncio.wait({keeper, stopping})
            if not keeper.cancelled():
                keeper.result()
            if self._moved_with is None or self._stop.is_set():
                return
            ticket, joined = self._moved_with, True

    async def _run_node(self, ticket: str | None, *, joined: bool) -> None:
        if ticket is not None and not joined:
            self._enter("joining", "asking the inviter to be let in")
            await self._join_home(ticket)
        try:
            opening = self._open_node(self._config, ticket=ticket, on_phase=self._enter)
            async with opening as node:
                self._node = node
                self._enter("ready", "ready")
                self._ready.set()
                await self._wait_until_left(node)
                self._node = None
                self._enter("stopping", "finishing what is under way")
        finally:
            self._node = None
            self._ready.clear()

    async def _wait_until_left(self, node: OwnNode) -> None:
        leaving = asyncio.create_task(self._leave.wait(), name="leave")
        failing = asyncio.create_task(node.wait_stopped(), name="node's end")
        try:
            await asyncio.wait({leaving, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            failing.cancel()
            await asyncio.wait({leaving, failing})
        if not failing.cancelled():
            failing.result()

    async def _join_home(self, text: str) -> None:
        assert self._home is not None
        ticket = decode_ticket(text)
        home, config = self._home, self._config
        await asyncio.to_thread(check_may_leave, home, ticket)
        now_ms = time.time_ns() // 1_000_000
        identity = await asyncio.to_thread(home.ensure_identity, config.passphrase, now_ms=now_ms)
        transport = self._make_join_transport()
        await join_home(home, identity, ticket, kind=config.kind, transport=transport)

    def _enter(self, name: str, detail: str) -> None:
        self._name, self._detail, self._began_s = name, detail, time.monotonic()
        if self._on_phase is not None:
            self._on_phase(self.phase, api=self._api)

    @contextmanager
    def _catch_signals(self) -> Iterator[None]:
        """Signals stop the node, where this thread may hear them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def _complete(config: NodeConfig) -> NodeConfig:
    """Settings with everything they refer to: home folder, passphrase, keys of engines."""
    home = config.home or get_default_home()
    passphrase = config.passphrase or read_passphrase(config.passphrase_file, os.environ)
    return replace(
        config,
        home=home,
        passphrase=passphrase,
        engine_options=resolve_engine_options(
            config.engine_options, os.environ, home=home, passphrase=passphrase
        ),
    )


async def _wait_first(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def _open_real_node(
    config: NodeConfig, *, ticket: str | None, on_phase: OnPhase
) -> AsyncIterator[OwnNode]:
    from meshnode.node import open_node

    def report(name: str, detail: str) -> None:
        if name != "ready":  # the daemon itself says so, when the node can be asked for
            on_phase(name, detail)

    # The home is a member already; with the ticket, opening waits for the inviter's connection.
    opening = open_node(config, passphrase=config.passphrase, ticket=ticket, on_phase=report)
    async with opening as node:
        yield node
