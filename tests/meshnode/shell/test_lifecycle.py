"""Whole runtimes from start to end: meshes in memory, restarts, and what stops a node."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dag.errors import Offence
from dag.genesis import compute_network_id
from dag.types import Kind
from meshnode.core.admission import Admission
from meshnode.core.commands import Connect
from meshnode.core.effects import StoreVertex
from meshnode.core.events import OffenceSeen, PeerLost, VertexAdmitted
from meshnode.core.messages import Ping, encode_message
from meshnode.core.settings import Timing
from meshnode.errors import CommandRejected, CorruptJournal, DeadlineExceeded, StorageError
from meshnode.shell.journal_check import check_journal
from meshnode.shell.lifecycle import open_runtime
from meshnode.shell.store import Store
from meshnode.shell.subscriptions import SubscriberLagged
from meshnode.transport.base import Channel
from meshnode.transport.memory import MemoryNetwork
from tests.support.dag_builder import DagBuilder
from tests.support.runtimes import connect, make_options, open_mesh, wait_equal, wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
async def _leaves_nothing_behind():
    threads = set(threading.enumerate())
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}
    left = set(threading.enumerate()) - threads
    assert not [thread.name for thread in left if not thread.name.startswith("asyncio")]


async def test_mesh_of_three_agrees_on_what_each_publishes(tmp_path):
    async with open_mesh(3, tmp_path) as nodes:
        signed = [await node.publish(Kind.NOTE, b"from %d" % n) for n, node in enumerate(nodes)]
        await wait_equal(nodes, 6)
        for node in nodes:
            found = await node.read([item.id for item in signed])
            assert found == {item.id: item.wire for item in signed}
            assert await node.find(signed[0].id[:8]) == [signed[0].id]
            assert len(await node.scan(limit=9, kind=Kind.NOTE)) == 3
            assert abs(node.now_ms() - signed[0].vertex.time_ms) < 60_000
    for n in range(3):
        report = await asyncio.to_thread(
            check_journal, tmp_path / f"peer-{n}" / "journal.db", nodes[0].genesis
        )
        assert report.ok
        assert report.vertices == 6


async def test_node_alone_publishes_and_remembers(tmp_path):
    network = MemoryNetwork()
    async with open_runtime(make_options(0, 1, tmp_path, network)) as node:
        events = node.events()
        signed = await node.publish(Kind.NOTE, b"alone")
        while not isinstance(event := await anext(events), VertexAdmitted):
            pass
        assert event.signed.vertex.author == node.author
    async with open_runtime(make_options(0, 1, tmp_path, network)) as node:
        assert signed.id in await node.read([signed.id])
        again = await node.publish(Kind.NOTE, b"again")
        assert again.vertex.seq == signed.vertex.seq + 1


async def test_many_publications_at_once_become_one_chain(tmp_path):
    async with open_mesh(2, tmp_path) as nodes:
        publishing = [nodes[0].publish(Kind.NOTE, b"%d" % n) for n in range(200)]
        signed = await asyncio.gather(*publishing)
        assert sorted(item.vertex.seq for item in signed) == list(range(1, 201))
        await wait_equal(nodes, 202)
        counters = nodes[0].telemetry.snapshot()["counters"]
        assert counters["transactions"] < 200, "publications share transactions"


async def test_a_late_joiner_catches_up_over_the_bulk_channel(tmp_path):
    network = MemoryNetwork()
    timing = Timing(last_answer_ms=50)
    async with open_runtime(make_options(0, 2, tmp_path, network, timing=timing)) as first:
        for start in range(0, 400, 100):
            await asyncio.gather(
                *(
                    first.publish(Kind.NOTE, bytes(2_000) + b"%d" % n)
                    for n in range(start, start + 100)
                )
            )
        async with open_runtime(make_options(1, 2, tmp_path, network)) as second:
            await connect([first, second])
            await wait_equal([first, second], 402)
        assert first.telemetry.snapshot()["counters"]["bulk_frames_sent"] > 0


async def test_two_openers_of_one_journal_are_refused(tmp_path):
    network = MemoryNetwork()
    async with open_runtime(make_options(0, 1, tmp_path, network)):
        with pytest.raises(StorageError, match="open in another process"):
            async with open_runtime(make_options(0, 1, tmp_path, network)):
                raise AssertionError("must not open")


async def test_a_taken_address_leaves_nothing_open(tmp_path):
    network = MemoryNetwork()
    async with open_runtime(make_options(0, 1, tmp_path, network)):
        second = make_options(0, 1, tmp_path, network, directory=tmp_path / "elsewhere")
        with pytest.raises(Exception, match="listens already"):
            async with open_runtime(second):
                raise AssertionError("must not open")


async def test_peers_hear_a_goodbye(tmp_path):
    network = MemoryNetwork()
    async with open_runtime(make_options(0, 2, tmp_path, network)) as first:
        async with open_runtime(make_options(1, 2, tmp_path, network)) as second:
            await connect([first, second])
            events = first.events()
        async with asyncio.timeout(10):
            while not isinstance(event := await anext(events), PeerLost):
                pass
        assert "goodbye" in event.reason
        events.close()


async def test_commands_after_the_end_are_refused(tmp_path):
    async with open_runtime(make_options(0, 1, tmp_path, MemoryNetwork())) as node:
        pass
    with pytest.raises(CommandRejected, match="stop"):
        await node.publish(Kind.NOTE, b"late")
    await node.wait_stopped()
    assert node.failure is None


async def test_a_publication_under_way_is_finished_before_the_end(tmp_path):
    async with open_runtime(make_options(0, 1, tmp_path, MemoryNetwork())) as node:
        publishing = asyncio.ensure_future(node.publish(Kind.NOTE, b"last words"))
        await asyncio.sleep(0)
    assert (await publishing).vertex.body == b"last words"


async def test_a_failing_disk_stops_the_node_before_anything_leaves(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match="disk refused"):
        await publish_to_a_failing_disk(tmp_path, monkeypatch)


async def publish_to_a_failing_disk(folder, monkeypatch):
    network = MemoryNetwork()
    async with (
        open_runtime(make_options(0, 2, folder, network)) as sick,
        open_runtime(make_options(1, 2, folder, network)) as sound,
    ):
        await connect([sick, sound])
        await wait_equal([sick, sound], 2)
        broken, append = sick._journal._writer, Store.append

        def refuse(self, records, commits=()):
            if self is broken:
                raise StorageError("the disk refused")
            append(self, records, commits)

        monkeypatch.setattr(Store, "append", refuse)
        with pytest.raises(StorageError, match="disk refused"):
            await sick.publish(Kind.NOTE, b"never durable")
        with pytest.raises(StorageError, match="disk refused"):
            await sick.wait_stopped()
        await wait_until(lambda: not sound.view().peers)
        assert sound.view().vertices == 2


async def test_a_bug_in_the_core_stops_the_node(tmp_path, monkeypatch):
    options = make_options(0, 1, tmp_path, MemoryNetwork())
    with pytest.raises(AssertionError, match="invariant"):
        await publish_with_a_bug(options, monkeypatch)
    assert (options.directory / "crash.msgpack").exists()


async def publish_with_a_bug(options, monkeypatch):
    def fail(entry):
        raise AssertionError("invariant broken")

    async with open_runtime(options) as node:
        monkeypatch.setattr(node._node, "handle", fail)
        with pytest.raises(AssertionError, match="invariant"):
            await node.publish(Kind.NOTE, b"x")


async def test_a_journal_that_cannot_be_read_back_stops_the_node(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match="read refused"):
        await answer_from_a_failing_disk(tmp_path, monkeypatch)


async def answer_from_a_failing_disk(folder, monkeypatch):
    network = MemoryNetwork()
    timing = Timing(last_answer_ms=50)
    async with open_runtime(make_options(0, 2, folder, network, timing=timing)) as sick:
        await sick.publish(Kind.NOTE, b"x")

        async def refuse(ids):
            raise StorageError("the read refused")

        monkeypatch.setattr(sick._journal, "read", refuse)
        async with open_runtime(make_options(1, 2, folder, network)) as sound:
            await sound.submit(Connect(sick.transport.peer_id, sick.transport.addresses))
            with pytest.raises(StorageError, match="read refused"):
                await sick.wait_stopped()


KILLED = """
import asyncio, sys
from pathlib import Path
from dag.types import Kind
from meshnode.shell.lifecycle import open_runtime
from meshnode.transport.memory import MemoryNetwork
from tests.support.runtimes import make_options

async def main():
    async with open_runtime(make_options(0, 1, Path(sys.argv[1]), MemoryNetwork())) as node:
        while True:
            publishing = (node.publish(Kind.NOTE, bytes(500)) for _ in range(8))
            for signed in await asyncio.gather(*publishing):
                print(signed.vertex.seq, signed.id.hex(), flush=True)

asyncio.run(main())
"""


def test_a_killed_node_keeps_what_it_acknowledged_and_never_forks(tmp_path):
    acknowledged: dict[int, str] = {}
    for life in range(4):
        command = [sys.executable, "-c", KILLED, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            assert child.stdout is not None
            for line in child.stdout:
                seq, vertex_id = line.split()
                assert acknowledged.setdefault(int(seq), vertex_id) == vertex_id, "a fork"
                if len(acknowledged) >= 30 * (life + 1):
                    child.send_signal(signal.SIGKILL)
    options = make_options(0, 1, tmp_path, MemoryNetwork())
    report = check_journal(options.directory / "journal.db", options.genesis)
    assert report.ok
    store = Store.open(options.directory, compute_network_id(options.genesis))
    stored = {v.vertex.seq: v.id.hex() for v in store.load().vertices}
    store.close()
    assert len(stored) == report.vertices
    assert stored.items() >= acknowledged.items()


async def test_a_damaged_journal_is_not_opened(tmp_path):
    options = make_options(0, 1, tmp_path, MemoryNetwork())
    builder = DagBuilder(authors=1).profiles().layer()
    await asyncio.to_thread(write_vertices, options.directory, builder, builder.vertices[1:])
    with pytest.raises(CorruptJournal, match="cannot have been admitted"):
        async with open_runtime(options):
            raise AssertionError("must not open")


def write_vertices(directory, builder, vertices):
    store = Store.open(directory, builder.network)
    store.append([StoreVertex(v.id, v.wire) for v in vertices])
    store.close()


async def test_a_subscriber_that_lags_is_told_and_the_node_goes_on(tmp_path):
    async with open_runtime(make_options(0, 1, tmp_path, MemoryNetwork())) as node:
        slow = node.events(buffer_max=3)
        for number in range(10):
            await node.publish(Kind.NOTE, b"%d" % number)
        for _ in range(3):
            await anext(slow)
        with pytest.raises(SubscriberLagged):
            await anext(slow)


async def test_waiting_for_a_peer_ends_in_time(tmp_path):
    async with open_mesh(2, tmp_path) as nodes:
        found = await nodes[0].wait_for_peer(timeout_ms=1_000)
        assert found.author == nodes[1].author
        with pytest.raises(DeadlineExceeded, match="no connection to 0000000000000000 within 1 ms"):
            await nodes[0].wait_for_peer(bytes(32), timeout_ms=1)


async def test_streams_reach_their_handler_and_offences_the_core(tmp_path):
    async with open_mesh(2, tmp_path) as nodes:
        first, second = nodes

        async def echo(stream):
            while (frame := await stream.receive()) is not None:
                await stream.send(frame)
            await stream.finish()

        second.set_stream_handler(echo)
        stream = await first.transport.open_stream(second.transport.peer_id)
        await stream.send(b"question")
        assert await stream.receive() == b"question"
        await stream.finish()
        assert await stream.receive() is None
        async with first.events() as events:
            first.report_offence(second.transport.peer_id, Offence.FLOOD, "too much")
            while not isinstance(event := await anext(events), OffenceSeen):
                pass
        assert event.offence is Offence.FLOOD
        await wait_until(lambda: first.telemetry.snapshot()["offences"] == {"flood": 1})


async def test_a_flood_of_one_peer_does_not_keep_others_waiting(tmp_path):
    async with open_mesh(3, tmp_path) as nodes:
        victim, attacker, honest = nodes
        frame = encode_message(Ping(1))
        for _ in range(200):
            attacker.transport.send(victim.transport.peer_id, Channel.CONTROL, [frame] * 50)
        signed = await honest.publish(Kind.NOTE, b"in between")
        await wait_until(lambda: victim._node.is_stored(signed.id))
        assert len(victim._inbox) <= 1_024 + 10_000


async def test_unverified_mode_is_for_benchmarks_only(tmp_path, monkeypatch):
    modes = []
    original = Admission.__init__

    def note(self, *arguments, verify=True, **options):
        modes.append(verify)
        original(self, *arguments, verify=verify, **options)

    monkeypatch.setattr("meshnode.shell.lifecycle.Admission.__init__", note)
    for options in (
        make_options(0, 1, tmp_path, MemoryNetwork()),
        make_options(0, 1, tmp_path, MemoryNetwork(), _trust_unverified=True),
    ):
        async with open_runtime(options):
            pass
    assert False in modes
    assert modes[-1] is False
    assert "secrets" not in repr(options)
