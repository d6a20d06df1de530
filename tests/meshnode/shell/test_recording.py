"""Recorded inputs: they replay bit for bit, and damage is named where it is."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from dag.errors import Offence
from dag.types import Kind
from dag.vertex import decode_signed
from meshnode.core.commands import Leave, Publish, Serve
from meshnode.core.inputs import (
    Candidate,
    Checks,
    Completed,
    Connected,
    DialEnded,
    Disconnected,
    Loaded,
    Received,
    Rejected,
    Signed,
    Standing,
    Submitted,
    Ticked,
    Vertices,
)
from meshnode.core.messages import Ping
from meshnode.core.recovered import Recovered
from meshnode.errors import CommandRejected, StorageError
from meshnode.shell import recording as recording_module
from meshnode.shell.lifecycle import open_runtime
from meshnode.shell.recording import (
    InputFrame,
    MessageFrame,
    Recorder,
    decode_input,
    encode_input,
    read_frames,
)
from meshnode.shell.replay import replay
from meshnode.transport.memory import MemoryNetwork
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.runtimes import connect, make_options, wait_equal

SIGNED = decode_signed(DagBuilder(authors=1).profiles().vertices[0].wire)


@pytest.mark.parametrize(
    "entry",
    [
        Received(1, "a", Ping(3)),
        Received(1, "a", Vertices(7, (Candidate(SIGNED, Standing.DUPLICATE),), (bytes(32),), 5)),
        Rejected(2, "a", Offence.FLOOD, "detail"),
        Connected(3, "a", inbound=True, address="x"),
        Disconnected(4, "a", "gone"),
        Submitted(5, 9, Publish(Kind.NOTE, b"body", (bytes(32),))),
        Submitted(5, 9, Serve((), 1, 2, 3, draining=False)),
        Submitted(5, 9, Leave("bye")),
        Completed(6, 1, Signed(b"signature")),
        Completed(6, 1, Checks((True, False))),
        Completed(6, 1, Loaded((SIGNED,))),
        Completed(6, 1, DialEnded("refused")),
        Ticked(7),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_every_input_survives_being_recorded(entry):
    assert decode_input(encode_input(entry)) == entry


async def test_a_recorded_life_replays_bit_for_bit_in_a_mesh_of_three(tmp_path, monkeypatch):
    monkeypatch.setattr(recording_module, "DIGEST_EVERY", 10)
    paths = [tmp_path / f"{n}.rec" for n in range(3)]
    for life in range(2):
        await live(tmp_path, paths, life)
        for path in paths:
            report = await asyncio.to_thread(replay, path)
            assert report.ok
            assert report.inputs > 20
            assert report.digests >= report.inputs // 10
        await asyncio.to_thread(assert_no_secret, paths)


async def live(folder, paths, life):
    """One life of a mesh: everybody publishes, some of it twice as large as allowed."""
    network = MemoryNetwork()
    async with (
        open_runtime(make_options(0, 3, folder, network, record_path=paths[0])) as first,
        open_runtime(make_options(1, 3, folder, network, record_path=paths[1])) as second,
        open_runtime(make_options(2, 3, folder, network, record_path=paths[2])) as third,
    ):
        nodes = [first, second, third]
        await connect(nodes)
        for number, node in enumerate(nodes):
            await node.publish(Kind.NOTE, b"note %d" % number * (number + 1))
            with pytest.raises(CommandRejected):
                await node.publish(Kind.NOTE, bytes(40_000))
        await wait_equal(nodes, 6 + 3 * life)


def assert_no_secret(paths):
    for path in paths:
        data = path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        for number in range(3):
            secrets = make_person(number).secrets
            for name in secrets.__struct_fields__:
                assert getattr(secrets, name) not in data, name
            assert number.to_bytes(32, "big") not in data or number == 0, "the master seed"


async def record_alone(folder):
    path = folder / "alone.rec"
    network = MemoryNetwork()
    options = make_options(0, 1, folder, network, record_path=path)
    async with open_runtime(options) as node:
        for number in range(20):
            await node.publish(Kind.NOTE, b"%d" % number)
    return path


async def test_replay_says_where_it_diverges(tmp_path, monkeypatch):
    monkeypatch.setattr(recording_module, "DIGEST_EVERY", 5)
    path = await record_alone(tmp_path)
    changed = await asyncio.to_thread(change_body, path)
    report = await asyncio.to_thread(replay, changed)
    assert not report.ok
    assert report.diverged_after is not None
    assert 5 < report.diverged_after <= report.inputs


def change_body(path):
    """Let the recording say that another note was to be published than was."""
    data = path.read_bytes()
    changed = path.with_suffix(".changed")
    changed.write_bytes(data.replace(b"\xc4\x0217", b"\xc4\x0218", 1))
    return changed


async def test_replay_does_not_depend_on_the_hashes_of_a_process(tmp_path):
    path = await record_alone(tmp_path)
    for seed in ("1", "2"):
        code = f"from pathlib import Path; from meshnode.shell.replay import replay; assert replay(Path({str(path)!r})).ok"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env={**os.environ, "PYTHONHASHSEED": seed}
        )
        assert await child.wait() == 0


async def test_replay_of_a_torn_recording_goes_as_far_as_it_goes(tmp_path):
    path = await record_alone(tmp_path)
    size = (await asyncio.to_thread(path.stat)).st_size
    whole = await asyncio.to_thread(replay, path)
    await asyncio.to_thread(os.truncate, path, size - 60)
    torn = await asyncio.to_thread(replay, path)
    assert torn.ok
    assert torn.inputs <= whole.inputs


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x00\x00\x02hi", b"\xff" * 40, b"\x00\x00\x00\x02\x92\x01"]
)
def test_replay_refuses_what_is_no_recording(tmp_path, data):
    path = tmp_path / "x.rec"
    path.write_bytes(data)
    with pytest.raises(StorageError, match="is not a recording"):
        replay(path)


def test_replay_says_when_there_is_no_file(tmp_path):
    with pytest.raises(StorageError, match="cannot read the recording"):
        replay(tmp_path / "missing.rec")


async def test_recorder_says_when_it_cannot_write(tmp_path):
    recorder = Recorder(tmp_path / "missing" / "x.rec")
    with pytest.raises(StorageError, match="cannot write the recording"):
        await recorder.open(await first_frame(tmp_path), Recovered())


async def first_frame(folder):
    path = await record_alone(folder)
    return await asyncio.to_thread(lambda: next(read_frames(path)))


async def test_a_recording_on_a_full_disk_stops_the_node(tmp_path):
    options = make_options(0, 1, tmp_path, MemoryNetwork())
    with pytest.raises(StorageError, match="/dev/full"):
        async with open_runtime(replace(options, record_path=Path("/dev/full"))):
            raise AssertionError("must not open")


async def test_replay_refuses_a_recording_of_another_format_or_order(tmp_path):
    path = await record_alone(tmp_path)
    frames = await asyncio.to_thread(lambda: list(read_frames(path)))
    other = msgspec.structs.replace(frames[0], format=99)
    with pytest.raises(StorageError, match="has format 99"):
        await asyncio.to_thread(replay, await rewrite(path, [other]))
    with pytest.raises(StorageError, match="ends before the node started"):
        await asyncio.to_thread(replay, await rewrite(path, [frames[0], frames[-1]]))
    with pytest.raises(StorageError, match="ends before the node started"):
        await asyncio.to_thread(replay, await rewrite(path, [frames[0]]))
    with pytest.raises(StorageError, match="starts once"):
        await asyncio.to_thread(replay, await rewrite(path, [*frames[:3], frames[0]]))


async def test_replay_names_what_is_damaged_inside_a_frame(tmp_path):
    path = await record_alone(tmp_path)
    frames = await asyncio.to_thread(lambda: list(read_frames(path)))
    for bad in (
        InputFrame(b"\xff"),
        MessageFrame(1, "a", b"\xa1\xff"),
        InputFrame(b"\x91" * 3_000),
    ):
        with pytest.raises(StorageError, match="is damaged"):
            await asyncio.to_thread(replay, await rewrite(path, [*frames, bad]))
    with pytest.raises(StorageError, match="is not a recording"):
        await asyncio.to_thread(replay, await rewrite(path, [[0, 1, b"\xa1\xff"]]))


async def test_replay_names_a_life_that_cannot_be(tmp_path):
    path = await record_alone(tmp_path)
    frames = await asyncio.to_thread(lambda: list(read_frames(path)))
    twice = encode_input(Connected(2**50, "a", inbound=True, address="x"))
    with pytest.raises(StorageError, match="a life that cannot be"):
        await asyncio.to_thread(replay, await rewrite(path, [*frames, twice, twice]))


async def rewrite(path, frames):
    bodies = [msgspec.msgpack.encode(frame) for frame in frames]
    data = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    await asyncio.to_thread(path.with_suffix(".new").write_bytes, data)
    return path.with_suffix(".new")
