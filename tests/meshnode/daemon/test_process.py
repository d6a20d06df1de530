"""Real node processes: started in the background, joined, asked, killed, started again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager

import msgspec
import pytest

from meshnode.client import connect
from meshnode.daemon.spawn import StartRequest, spawn_detached
from meshnode.errors import CommandRejected, ConfigError, KeystoreError, NoDaemon
from meshnode.runtime_file import find_runtime
from meshnode.ticket import Ticket, encode_ticket
from meshnode.transport.base import PeerId

pytestmark = pytest.mark.e2e

LOOPBACK = {"engine": "echo", "api": "127.0.0.1:0", "listen": ["/ip4/127.0.0.1/tcp/0"]}


@asynccontextmanager
async def running(home, *, flags=None, **request):
    """A node of its own process, tied to this one."""
    orders = StartRequest(
        home=str(home), flags={**LOOPBACK, "name": home.name, **(flags or {})}, tied=True, **request
    )
    spawned = await spawn_detached(orders)
    try:
        yield spawned
    finally:
        assert spawned.process.stdin is not None
        spawned.process.stdin.close()
        await asyncio.to_thread(spawned.process.wait, 20)


def make_foreign_ticket():
    return encode_ticket(
        Ticket(
            network=bytes(32),
            network_name="elsewhere",
            suite="hybrid",
            peer=PeerId("nobody"),
            addresses=("/ip4/127.0.0.1/tcp/9",),
            bearer_seed=bytes(32),
        )
    )


async def test_two_processes_make_a_mesh_and_answer_each_other(tmp_path):
    async with running(tmp_path / "ada") as ada, connect(tmp_path / "ada") as node:
        assert node.pid == ada.pid
        ticket = await node.invite()
        guest = running(tmp_path / "bob", ticket=ticket, flags={"engine": "none"})
        async with guest, connect(tmp_path / "bob") as other:
            answer = await other.ask("hello")
            assert (answer.name, answer.local) == ("ada", False)
            assert "hello" in answer.text
            detail = await other.vertex(answer.vertex)
            assert detail.vertex.kind == "result"
            places = [await each.finality(answer.vertex, wait_ms=30_000) for each in (node, other)]
            assert places[0].final
            assert places[0] == places[1]
            with pytest.raises(CommandRejected, match="with others"):
                await node.join(make_foreign_ticket())
    assert ada.process.returncode == 0
    assert "stopped" in ada.log_path.read_text()


async def test_killed_process_leaves_nothing_in_the_way(tmp_path):
    home = tmp_path / "ada"
    async with running(home) as spawned, connect(home) as node:
        author, port = (await node.status()).author, (await node.status()).addresses
        note = await node.publish("kept")
        spawned.process.kill()
        await asyncio.to_thread(spawned.process.wait, 20)
    assert (home / "runtime.json").exists()
    assert find_runtime(home / "runtime.json") is None
    with pytest.raises(NoDaemon):
        connect(home)
    async with running(home), connect(home) as node:
        status = await node.status()
        assert (status.author, status.addresses) == (author, port)
        assert (await node.vertex(note.id)).vertex == note


async def test_starting_twice_names_the_one_that_runs(tmp_path):
    async with running(tmp_path / "ada") as spawned:
        with pytest.raises(ConfigError, match=rf"another meshnode, pid {spawned.pid}, since"):
            async with running(tmp_path / "ada"):
                pass
        with pytest.raises(ConfigError, match=rf"{spawned.api} is taken by another meshnode, pid"):
            async with running(tmp_path / "bob", flags={"api": spawned.api}):
                pass
        async with connect(tmp_path / "ada") as node:
            assert (await node.status()).name == "ada"


async def test_passphrase_typed_by_a_person_opens_the_key(tmp_path):
    home = tmp_path / "ada"
    async with running(home, passphrase="canary-passphrase"), connect(home) as node:
        assert (await node.status()).key_mode == "encrypted"
    with pytest.raises(KeystoreError, match="does not open"):
        async with running(home, passphrase="wrong"):
            pass
    for path in home.rglob("*"):
        assert not path.is_file() or b"canary-passphrase" not in path.read_bytes()


@pytest.mark.parametrize(
    ("flags", "words"),
    [({"engine": "gpt"}, "no engine named 'gpt'"), ({"shaer": "full"}, "'shaer'")],
)
async def test_reason_of_a_failed_start_reaches_the_starter(tmp_path, flags, words):
    with pytest.raises(ConfigError, match=words):
        async with running(tmp_path / "ada", flags=flags):
            pass
    assert not (tmp_path / "ada" / "runtime.json").exists()


def test_process_without_its_orders_says_what_to_do():
    done = subprocess.run(
        [sys.executable, "-m", "meshnode.daemon"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "meshnode up" in done.stderr


def test_process_with_garbled_orders_reports_and_logs():
    reader, writer = os.pipe()
    done = subprocess.run(
        [sys.executable, "-m", "meshnode.daemon", str(writer), "home"],
        check=False,
        input="?\n",
        capture_output=True,
        text=True,
        pass_fds=(writer,),
        timeout=60,
    )
    os.close(writer)
    report = msgspec.json.decode(os.read(reader, 4_096))
    os.close(reader)
    assert done.returncode == 1
    assert "DecodeError" in done.stderr
    assert report["error"]["message"] == "the node failed unexpectedly"
