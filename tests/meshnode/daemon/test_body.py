"""The daemon: HTTP first, one node at a time, a clean end however it comes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from meshnode.client import connect
from meshnode.config import NodeConfig
from meshnode.daemon import body
from meshnode.daemon.body import Daemon, run_daemon
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import CommandRejected, ConfigError, NoDaemon, StorageError
from meshnode.gateway.port import NotReady
from meshnode.home import open_home
from meshnode.ticket import encode_ticket
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.fake_node import STATUS, FakeNode
from tests.support.join_scene import Scene


class Stage:
    """A daemon over fake nodes; `loading` holds the node back until it is set."""

    def __init__(self, path, **config):
        self.path = path
        self.config = NodeConfig(home=path, api="127.0.0.1:0", name="ada", **config)
        self.loading = asyncio.Event()
        self.loading.set()
        self.draining = asyncio.Event()
        self.draining.set()
        self.nodes = []
        self.tickets: list[str | None] = []
        self.open = 0
        self.fails = None
        self.phases: list[str] = []
        self.entered: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.apis = []
        self.hub = MemoryNetwork()
        self.daemon = Daemon(
            self.config,
            on_phase=self._hear,
            open_node=self._open_node,
            make_join_transport=lambda: MemoryTransport(self.hub, PeerId("joiner")),
        )

    def _hear(self, phase, *, api):
        self.phases.append(phase.name)
        self.entered[phase.name].set()
        self.apis.append(api)

    @asynccontextmanager
    async def _open_node(self, config, *, ticket, on_phase):
        self.tickets.append(ticket)
        on_phase("loading", f"loading engine {config.engine or 'auto'}")
        await self.loading.wait()
        if self.fails is not None:
            raise self.fails
        network = open_home(config.home).get_current_network()
        name = network.genesis.name if network else "solo"
        node = FakeNode(replace(STATUS, network_name=name))
        self.nodes.append(node)
        self.open += 1
        try:
            yield node
        finally:
            await self.draining.wait()
            self.open -= 1

    async def until(self, name):
        async with asyncio.timeout(10):
            await self.entered[name].wait()

    @asynccontextmanager
    async def running(self, ticket=None, *, phase="ready", ends_with=None, words=None):
        """The daemon from a phase on; at the end it stops, cleanly or with an error."""
        running = asyncio.create_task(self.daemon.run(ticket))
        waiting = asyncio.create_task(self.until(phase))
        try:
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            yield running
        finally:
            waiting.cancel()
            self.daemon.request_shutdown()
            await asyncio.wait({running, waiting}, timeout=10)
        if ends_with is None:
            running.result()
        else:
            with pytest.raises(ends_with, match=words):
                running.result()


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path / "home")


async def test_running_node_is_reached_through_its_home(stage):
    async with stage.running():
        async with connect(stage.path) as node:
            status = await node.status()
            assert status.name == "ada"
            assert status.api == node.api == stage.apis[-1]
        assert stage.phases == ["loading", "ready"]
    assert stage.open == 0
    with pytest.raises(NoDaemon):
        connect(stage.path)


async def test_http_is_up_while_the_node_loads(stage):
    stage.loading.clear()
    async with stage.running(phase="loading"), connect(stage.path) as node:
        startup = await node.startup()
        assert (startup["ready"], startup["phase"]) == (False, "loading")
        assert startup["detail"] == "loading engine auto"
        with pytest.raises(NotReady, match="loading engine auto"):
            await node.ask("hi")
        stage.loading.set()
        await stage.until("ready")
        assert (await node.startup())["ready"] is True


async def test_stop_while_loading_ends_at_once(stage):
    stage.loading.clear()
    async with stage.running(phase="loading"):
        pass
    assert stage.nodes == []
    assert not (stage.path / "runtime.json").exists()


async def test_stop_through_the_api(stage):
    async with stage.running() as running, connect(stage.path) as node:
        await node.shutdown()
        async with asyncio.timeout(10):
            await running
    assert stage.phases[-1] == "stopping"


async def test_node_that_drains_is_not_ready_before_anything_ends(stage):
    stage.draining.clear()
    async with stage.running(), connect(stage.path) as node:
        await node.shutdown()
        await stage.until("stopping")
        assert stage.open == 1
        startup = await node.startup()
        assert (startup["ready"], startup["phase"]) == (False, "stopping")
        with pytest.raises(NotReady):
            await node.ask("one more")
        stage.draining.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_by_signal(stage, number):
    async with stage.running() as running:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(10):
            await running


async def test_cancelling_the_process_body_closes_everything(stage):
    async with stage.running(ends_with=asyncio.CancelledError) as running:
        running.cancel()
        await asyncio.wait({running}, timeout=10)
    assert stage.open == 0
    assert not (stage.path / "runtime.json").exists()


async def test_node_that_fails_to_open_ends_the_daemon_with_its_reason(stage):
    stage.fails = EngineError(EngineFault.INTERNAL, "the model file is damaged")
    async with stage.running(ends_with=EngineError, words="damaged"):
        pass
    assert not (stage.path / "runtime.json").exists()


async def test_node_that_stops_by_itself_ends_the_daemon_with_its_reason(stage):
    async with stage.running(ends_with=StorageError, words="disk full") as running:
        stage.nodes[0].stopped_by = StorageError("disk full")
        stage.nodes[0].stopped.set()
        await asyncio.wait({running}, timeout=10)
        assert running.done()


async def test_second_daemon_of_one_home_is_refused(stage):
    async with stage.running():
        with pytest.raises(ConfigError, match=r"in use by another meshnode, pid \d+"):
            await Stage(stage.path).daemon.run()


async def test_taken_port_is_refused_and_leaves_nothing(stage, tmp_path):
    async with stage.running():
        other = Stage(tmp_path / "other")
        other.daemon._config = replace(other.config, api=stage.apis[-1])
        with pytest.raises(ConfigError, match="another meshnode, pid"):
            await other.daemon.run()
        assert not (tmp_path / "other" / "runtime.json").exists()


async def test_settings_that_refer_to_nothing_are_refused_at_once(tmp_path):
    config = NodeConfig(home=tmp_path, engine_options={"api_key": "env:ABSENT_KEY"})
    with pytest.raises(ConfigError, match="ABSENT_KEY"):
        await run_daemon(config)


async def test_daemon_outside_the_main_thread_leaves_signals_alone(stage):
    def in_thread():
        async def main():
            inner = Stage(stage.path)
            async with inner.running():
                assert inner.open == 1

        asyncio.run(main())

    await asyncio.to_thread(in_thread)


# --- joining -----------------------------------------------------------------------------------------


@pytest.fixture
async def scene(tmp_path, stage):
    async with Scene(tmp_path) as scene:
        stage.hub = scene.hub
        yield scene


async def test_daemon_started_with_a_ticket_joins_first(stage, scene):
    async with stage.running(encode_ticket(scene.ticket())):
        assert stage.phases == ["joining", "loading", "ready"]
        assert stage.nodes[0].status_view.network_name == "test"


async def test_daemon_whose_ticket_is_refused_ends_with_the_reason(stage, scene):
    scene.now_ms = 100
    ticket = encode_ticket(scene.ticket())
    async with stage.running(ticket, ends_with=CommandRejected, words="expired"):
        pass


async def test_running_solo_daemon_moves_to_the_tickets_network(stage, scene):
    async with stage.running(), connect(stage.path) as node:
        assert (await node.status()).network_name == "solo"
        assert (await node.join(encode_ticket(scene.ticket()))).network_name == "test"
        assert stage.tickets == [None, encode_ticket(scene.ticket())]
        assert stage.open == 1
        with pytest.raises(CommandRejected, match="member of 'test' already"):
            await node.join(encode_ticket(scene.ticket()))
        assert stage.open == 1


async def test_refused_ticket_leaves_the_running_node_alone(stage, scene):
    async with stage.running(), connect(stage.path) as node:
        scene.now_ms = 100
        with pytest.raises(CommandRejected, match="expired"):
            await node.join(encode_ticket(scene.ticket()))
        with pytest.raises(CommandRejected, match="not a ticket"):
            await node.join("hello")
        assert len(stage.nodes) == stage.open == 1
        assert (await node.status()).network_name == "solo"


async def test_two_joins_at_once_are_one_too_many(stage, scene):
    asked, held = asyncio.Event(), asyncio.Event()

    async def hold(stream):
        asked.set()
        await held.wait()

    scene.member._serve = hold
    async with stage.running(), connect(stage.path) as node, connect(stage.path) as other:
        joining = asyncio.create_task(node.join(encode_ticket(scene.ticket())))
        async with asyncio.timeout(10):
            await asked.wait()
        with pytest.raises(CommandRejected, match="joining a network already"):
            await other.join(encode_ticket(scene.ticket()))
        joining.cancel()
        await asyncio.wait({joining})
        held.set()


async def test_join_whose_node_does_not_open_again_ends_the_daemon(stage, scene):
    ends = {"ends_with": EngineError, "words": "broken"}
    async with stage.running(**ends) as running, connect(stage.path) as node:
        stage.fails = EngineError(EngineFault.INTERNAL, "broken")
        with pytest.raises((NotReady, NoDaemon)):
            await node.join(encode_ticket(scene.ticket()))
        await asyncio.wait({running}, timeout=10)


def test_real_node_is_the_default():
    assert Daemon(NodeConfig())._open_node is body._open_real_node
