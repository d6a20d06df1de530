"""Running nodes replace their keys, tell the mesh, and erase what was replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from dag.bodies import PROFILE_DECODER
from dag.canonical import encode
from dag.errors import InvalidMessage
from dag.identity import sign_vertex
from dag.types import LANE_SPEECH, Kind
from dag.vertex import decode_signed
from meshnode.config import NodeConfig
from meshnode.errors import CommandRejected
from meshnode.node.sealing import DAY_MS, KeyKeeper, RuntimeDirectory, make_keeper, make_sealing
from meshnode.sealed.keys import find_sealing_keys
from meshnode.sealed.ring_file import FILE_NAME, RingFile, draw_secrets
from meshnode.testing import mesh, wait_for_equal_heads
from tests.support.sealing import draw
from tests.support.serving_net import until


async def settle(condition):
    """Wait, within a generous bound, for what other tasks bring about."""
    await until(condition, timeout_s=30)


def sealing_of(node) -> Any:
    """What seals a node's streams: it has keys."""
    return node._sealing


def keys_of(viewer, node):
    """What one node knows of another's pair."""
    record = next(each for each in viewer._runtime.view().members if each.id.hex() == node.author)
    return find_sealing_keys(record.keys)


async def rotate(node, *, keep_ms=10_000):
    """What its keeper does when the time has come."""
    sealing, now_ms = sealing_of(node), node._runtime.now_ms()
    ring = sealing.ring.rotate(draw_secrets(), now_ms)
    sealing.set_ring(ring.forget(now_ms, keep_ms))
    await node._keeper.check()


async def test_rotated_key_spreads_as_a_newer_profile_and_answers_stay_sealed():
    async with mesh(2, engine=[None, "echo"]) as (asker, server):
        before = keys_of(asker, server)
        assert (await asker.ask("one")).sealed
        await rotate(server)
        await settle(lambda: keys_of(asker, server) not in {None, before})
        assert keys_of(asker, server) == sealing_of(server).ring.current_keys
        answer = await asker.ask("two")
        assert answer.sealed and answer.verified
        profiles = await server.vertices(kind="profile", author=server.author)
        assert profiles[0].seq > 0
        shown = (await server.status()).sealing
        assert shown is not None
        assert (shown.answered, shown.older_keys, shown.refused) == (2, 1, 0)
        await rotate(asker)
        assert (await asker.ask("three")).sealed, "whether or not the server has heard of it"


async def test_expired_key_is_refused_told_and_used_at_once():
    """The asker has not heard of the newer profile: the refusal brings it, signed."""
    async with mesh(2, engine=[None, "echo"]) as (asker, server):
        stale = sealing_of(asker)._directory.find_counterpart(server.peer_id)
        await rotate(server, keep_ms=0)
        await settle(lambda: keys_of(server, server) == sealing_of(server).ring.current_keys)
        await wait_for_equal_heads([asker, server])  # the profile is on the disk, too
        directory = sealing_of(asker)._directory
        directory.find_counterpart = lambda peer: stale
        answer = await asker.ask("does it still answer?")
        assert answer.sealed and answer.attempts == ()
        assert [*sealing_of(asker)._renewed] == [bytes.fromhex(server.author)]
        shown = (await server.status()).sealing
        assert shown is not None
        assert shown.refused == 1


async def test_profile_in_a_refusal_is_checked_to_the_last_signature():
    async with mesh(2, engine="none") as (node, other):
        directory = RuntimeDirectory(node._runtime)
        wire = await RuntimeDirectory(other._runtime).read_profile()
        author = bytes.fromhex(other.author)
        seq, keys = directory.check_profile(author, wire)
        assert (seq, keys) == (0, sealing_of(other).ring.current_keys)
        vertex = decode_signed(wire).vertex
        theirs, ours = other._setup.secrets, node._setup.secrets
        forgeries = [
            sign_vertex(ours, "hybrid", vertex),
            sign_vertex(theirs, "hybrid", msgspec.structs.replace(vertex, network=bytes(32))),
            sign_vertex(theirs, "hybrid", msgspec.structs.replace(vertex, kind=Kind.NOTE)),
        ]
        assert vertex.lane == LANE_SPEECH
        for forged in forgeries:
            with pytest.raises(InvalidMessage):
                directory.check_profile(author, forged.wire)
        with pytest.raises(InvalidMessage):
            directory.check_profile(bytes.fromhex(node.author), wire)
        assert directory.find_counterpart("nobody") is None


async def test_network_without_ml_kem_seals_nothing():
    async with mesh(1, engine="echo", suite="ed25519") as (node,):
        assert node._sealing is None
        assert make_sealing(node._runtime, node._setup) is None
        assert (await node.status()).sealing is None


class FakeRuntime:
    """A runtime that says profiles."""

    def __init__(self, node):
        self._node = node._runtime
        self.profile = self._node.profile
        self.time_ms = self._node.now_ms()
        self.renewed = []
        self.refuses = False

    def now_ms(self):
        return self.time_ms

    async def renew(self, profile):
        if self.refuses:
            raise CommandRejected("another process has signed with this node's keys")
        self.profile = profile
        self.renewed.append(PROFILE_DECODER.decode(profile))


def fake_runtime(node) -> Any:
    return FakeRuntime(node)


@pytest.fixture
async def keeping(tmp_path):
    """A keeper with a file, on a clock of the test's own."""
    async with mesh(1, engine="none") as (node,):
        runtime = fake_runtime(node)
        file = RingFile(tmp_path, draw("storage"))
        keeper = KeyKeeper(runtime, sealing_of(node), file, rotate_days=7, keep_days=2)
        yield keeper, runtime, sealing_of(node), file


async def test_keeper_does_nothing_before_its_time(keeping):
    keeper, runtime, sealing, file = keeping
    ring = sealing.ring
    await keeper.check()
    runtime.time_ms += 7 * DAY_MS - 60_000
    await keeper.check()
    assert sealing.ring is ring
    assert runtime.renewed == []
    assert file.read() is None
    assert keeper.problem == ""


async def test_keeper_rotates_in_time_and_erases_after_the_grace(keeping):
    keeper, runtime, sealing, file = keeping
    first = sealing.ring.current_keys.id
    runtime.time_ms = sealing.ring.current.created_ms + 7 * DAY_MS
    await keeper.check()
    second = sealing.ring.current_keys
    assert second.id != first
    assert sealing.ring.find(first) is not None
    assert [profile.mlkem768_key for profile in runtime.renewed] == [second.mlkem768_key]
    assert file.read().pairs == sealing.ring.pairs
    runtime.time_ms += 2 * DAY_MS - 1
    await keeper.check()
    assert sealing.ring.find(first) is not None
    runtime.time_ms += 1
    await keeper.check()
    assert sealing.ring.find(first) is None
    assert file.read().find(first) is None
    assert len(runtime.renewed) == 1, "only the newest is said, and once"


async def test_rotation_by_another_process_is_taken_up(keeping):
    keeper, runtime, sealing, file = keeping
    ring = file.rotate(sealing.ring, runtime.time_ms)
    await keeper.check()
    assert sealing.ring.pairs == ring.pairs
    assert len(runtime.renewed) == 1
    kept = sealing.ring
    await keeper.check()
    assert sealing.ring is kept, "a file that has not changed is not read again"


async def test_damaged_file_is_a_problem_and_the_keys_in_memory_go_on(keeping, tmp_path):
    keeper, runtime, sealing, _ = keeping
    ring = sealing.ring
    (tmp_path / FILE_NAME).write_bytes(b"damaged")
    (tmp_path / FILE_NAME).chmod(0o600)
    await keeper.check()
    assert "no sealing keys of this identity" in keeper.problem
    assert sealing.ring is ring
    (tmp_path / FILE_NAME).unlink()
    await keeper.check()
    assert keeper.problem == ""
    assert runtime.renewed == []


async def test_profile_that_cannot_be_said_is_a_problem_and_tried_again(keeping):
    keeper, runtime, sealing, file = keeping
    runtime.refuses = True
    file.rotate(sealing.ring, runtime.time_ms)
    await keeper.check()
    assert "another process" in keeper.problem
    runtime.refuses = False
    await keeper.check()
    assert keeper.problem == ""
    assert len(runtime.renewed) == 1


async def test_keys_without_a_file_rotate_in_memory_and_never_where_told_so():
    async with mesh(1, engine="none") as (node,):
        runtime, sealing = fake_runtime(node), sealing_of(node)
        runtime.time_ms += 100 * DAY_MS
        first = sealing.ring
        for days, rotated in ((0, False), (7, True)):
            config = NodeConfig(rotate_keys_days=days, keep_keys_days=0)
            setup = replace(node._setup, ring_file=None)
            keeper = make_keeper(runtime, sealing, setup, config)
            await keeper.check()
            assert (sealing.ring is not first) is rotated
        assert len(sealing.ring.pairs) == 1
        assert len(runtime.renewed) == 1
        assert encode(runtime.renewed[0]) == runtime.profile
