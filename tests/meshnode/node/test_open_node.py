"""Opening nodes: with a home and without, with tickets, twice, in vain."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import meshnode
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    CommandRejected,
    ConfigError,
    KeystoreError,
    MeshError,
    NodeClosed,
    StorageError,
)
from meshnode.node import open_node
from meshnode.node import opening as opening_module
from meshnode.testing import wait_for_equal_heads
from meshnode.transport.memory import MemoryNetwork
from tests.support.serving_net import ScriptedEngine, until

LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)


def open_memory(hub: MemoryNetwork | None = None, **options):
    return open_node(
        **{"engine": "echo", "transport": hub or MemoryNetwork(), "suite": "ed25519", **options}
    )


async def test_node_without_a_home_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with open_memory() as node:
        assert (await node.ask("hi")).verified
        status = await node.status()
        assert (status.home, status.key_mode, status.problems) == (None, None, ())
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


async def test_node_with_a_home_is_the_same_after_a_restart(tmp_path):
    hub = MemoryNetwork()
    seen = []
    said = []
    for question in ("one", "two"):
        async with open_memory(hub, home=tmp_path / "home", name="keeper") as node:
            await node.ask(question)
            seen.append(await node.status())
            said.append(len(await node.vertices()))
    assert seen[0].author == seen[1].author
    assert seen[0].network == seen[1].network
    assert said == [2, 3]
    assert seen[1].home == str(tmp_path / "home")
    assert seen[1].key_mode == "unencrypted-demo"
    assert (seen[0].problems, seen[1].problems) == ((), ())  # the mode says it, every time


async def test_node_encrypts_its_key_with_a_passphrase(tmp_path):
    async with open_memory(home=tmp_path, passphrase="open sesame") as node:
        assert (await node.status()).key_mode == "encrypted"
    with pytest.raises(KeystoreError):
        async with open_memory(home=tmp_path, passphrase="wrong"):
            pass


async def test_home_serves_one_node_at_a_time(tmp_path):
    async with open_memory(home=tmp_path):
        with pytest.raises(ConfigError, match="in use by"):
            async with open_memory(home=tmp_path):
                pass


async def test_node_joins_with_a_ticket_and_asks(tmp_path):
    hub = MemoryNetwork()
    async with open_memory(hub, name="host", suite="hybrid") as host:
        ticket = await host.invite()
        async with open_memory(
            hub, name="guest", ticket=ticket, home=tmp_path, engine="none"
        ) as guest:
            answer = await guest.ask("who is there?")
            assert (answer.name, answer.local, answer.verified) == ("host", False, True)
            await wait_for_equal_heads([host, guest])
            assert [peer.name for peer in await host.peers()] == ["guest"]
        # The home remembers: no ticket is needed again, nor spent.
        async with open_memory(hub, name="guest", home=tmp_path, engine="none") as guest:
            await guest.wait_for_peers(timeout_ms=5_000)
            await wait_for_equal_heads([host, guest])
        with pytest.raises(CommandRejected, match="used up"):
            async with open_memory(hub, ticket=ticket, engine="none"):
                pass


async def test_node_keeps_the_name_it_was_given(tmp_path):
    async with open_memory(home=tmp_path, name="kitchen") as node:
        assert node.name == "kitchen"
    async with open_memory(home=tmp_path) as node:
        assert node.name == "kitchen"
        assert len(await node.vertices()) == 1  # no new profile says the same again


async def test_node_that_took_another_name_is_asked_by_it(tmp_path):
    hub = MemoryNetwork()
    async with open_memory(hub, name="asker", engine="none") as asker:
        ticket = await asker.invite()
        async with open_memory(hub, home=tmp_path, name="old", ticket=ticket, engine="echo"):
            await asker.wait_for_peers(timeout_ms=5_000)
            assert (await asker.ask("hi", peer="old")).name == "old"
        async with open_memory(hub, home=tmp_path, name="new", engine="echo"):
            await until(lambda: "new" in asker._lookup.list_names().values())
            await asker.wait_for_peers(timeout_ms=5_000)
            assert (await asker.ask("hi", peer="new")).name == "new"


async def test_guest_invites_guests_of_its_own():
    hub = MemoryNetwork()
    async with (
        open_memory(hub, name="a") as a,
        open_memory(hub, name="b", ticket=await a.invite(), engine="none") as b,
        open_memory(
            hub, name="c", ticket=await b.invite(uses=2, expires_in_ms=0), engine="none"
        ) as c,
    ):
        await c.wait_for_peers(2, timeout_ms=10_000)
        assert (await c.ask("hi")).name == "a"
        await wait_for_equal_heads([a, b, c])


async def test_nodes_join_over_libp2p():
    async with open_node(engine="echo", name="host", listen=LOOPBACK) as host:
        ticket = await host.invite()
        async with open_node(engine="none", ticket=ticket, listen=LOOPBACK) as guest:
            items: list[Any] = [item async for item in guest.stream("one two three")]
            assert items[-1].answer.verified
            assert await wait_for_equal_heads([host, guest])


async def test_node_keeps_its_port_and_takes_another_when_that_is_taken(tmp_path):
    async with open_node(engine="none", home=tmp_path, listen=LOOPBACK) as node:
        first = node.addresses[0]
    async with open_node(engine="none", home=tmp_path, listen=LOOPBACK) as node:
        assert node.addresses[0] == first
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(first.split("/")[4])))
        taken.listen()
        async with open_node(engine="none", home=tmp_path, listen=LOOPBACK) as node:
            assert node.addresses[0] != first


async def test_node_tells_the_phases_of_its_start():
    phases = []
    async with open_memory(on_phase=lambda name, detail: phases.append((name, detail))):
        pass
    assert [name for name, _ in phases] == ["opening", "connecting", "loading", "ready"]
    assert phases[2][1] == "loading engine echo"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"transport": "pigeon"}, "no transport named 'pigeon'"),
        ({"colour": "blue"}, "no setting 'colour'"),
        ({"engine": "perpetuum"}, "perpetuum"),
    ],
)
async def test_node_is_refused_when_a_setting_makes_no_sense(options, reason):
    with pytest.raises(ConfigError, match=reason):
        async with open_memory(**options):
            pass


@pytest.mark.parametrize(
    ("options", "reason"), [({"ticket": "nonsense"}, "ticket"), ({"name": "x" * 65}, "characters")]
)
async def test_node_is_refused_when_it_cannot_be_what_is_asked(options, reason):
    with pytest.raises(CommandRejected, match=reason):
        async with open_memory(**options):
            pass


async def test_nothing_is_left_when_the_engine_does_not_start(tmp_path):
    class Broken(ScriptedEngine):
        async def start(self):
            raise EngineError(EngineFault.UNREACHABLE, "no weights")

    before = len(asyncio.all_tasks())
    with pytest.raises(EngineError, match="no weights"):
        async with open_memory(engine=Broken(), home=tmp_path):
            pass
    assert len(asyncio.all_tasks()) == before
    async with open_memory(home=tmp_path) as node:
        assert (await node.ask("hi")).verified


async def test_join_goes_on_when_the_inviter_is_busy(monkeypatch):
    monkeypatch.setattr(opening_module, "JOIN_WAIT_MS", 0)
    hub = MemoryNetwork()
    async with (
        open_memory(hub) as host,
        open_memory(hub, ticket=await host.invite(), engine="none") as guest,
    ):
        await guest.wait_for_peers(timeout_ms=5_000)


async def test_public_door_opens_nodes_too():
    async with meshnode.open_node(engine="echo", transport=MemoryNetwork()) as node:
        await node.close()
        with pytest.raises(NodeClosed, match="closed"):
            await node.status()
        await node.wait_stopped()


async def test_close_lets_answers_under_way_end():
    engine = ScriptedEngine()
    engine.script = [engine.gate, "done"]
    hub = MemoryNetwork()
    async with (
        open_memory(hub, engine=engine) as host,
        open_memory(hub, ticket=await host.invite(), engine="none") as guest,
    ):
        asking = asyncio.create_task(guest.ask("hi"))
        await engine.entered.wait()
        closing = asyncio.create_task(host.close())
        await until(lambda: closing.done() or host._desk._draining)
        engine.gate.set()
        assert (await asking).text == "done"
        await closing


async def test_everybody_who_closes_waits_for_the_end():
    async with open_memory() as node:
        await asyncio.gather(node.close(), node.close())
        assert node._ended.is_set()


async def test_failure_of_the_store_ends_the_node_and_is_raised():
    async def live() -> None:
        async with open_memory() as node:
            node._runtime._runner.on_failure(StorageError("the disk is full"))
            for use in (node.wait_stopped, lambda: node.publish("too late")):
                with pytest.raises(MeshError):
                    await use()
            with pytest.raises(StorageError):
                await anext(node.events())

    with pytest.raises(StorageError, match="disk is full"):
        await live()
