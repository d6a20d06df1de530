"""Hostile connections before they stand: who may come in, who is dropped, and when."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections import Counter

import pytest
import trio
from libp2p.crypto.rsa import create_new_key_pair as create_rsa_key_pair
from libp2p.peer.id import ID
from libp2p.stream_muxer.yamux.yamux import TYPE_GO_AWAY, YAMUX_HEADER_FORMAT

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.libp2p.hardening import HandshakeGate
from meshnode.transport.libp2p.host import NegotiationFailed, propose
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import TransportLimits
from tests.support.libp2p_attacker import attacker, channels, cut_off, tcp
from tests.support.transports import DEADLINE_S


async def test_d3_inbound_slots_are_given_back(scene):
    await scene.open(TransportLimits(connections=4))

    async def visit(name):
        async with attacker(scene.addresses, name) as muxer:
            await channels(muxer)

    for index in range(12):
        await scene.attack(visit, f"guest {index}")
        await scene.victim.seen.until(
            lambda index=index: scene.victim.seen.count("disconnected") > index
        )
    assert scene.victim.transport.counters["handshakes_refused"] == 0
    await scene.check_honest()


async def test_d3_connections_beyond_the_limit_are_refused(scene):
    await scene.open(TransportLimits(connections=1))
    late = await scene.lab.start("late")
    with pytest.raises(DialFailed):
        await late.dial(scene.victim)
    assert scene.victim.transport.counters["handshakes_refused"] == 1
    with pytest.raises(DialFailed, match="no more are allowed"):
        await scene.victim.dial(late)
    await scene.check_honest()


@pytest.mark.parametrize("protocol", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_d4_only_noise_is_spoken(scene, protocol):
    await scene.open()

    async def attack():
        stream = await tcp(scene.addresses)
        async with stream:
            await propose(
                TcpConnection(stream, is_initiator=True, counters=Counter()), protocol, 1_000
            )

    with pytest.raises(Exception, match="not supported"):
        await scene.attack(attack)
    await scene.check_honest()


async def test_d4_a_peer_with_another_key_is_refused(scene):
    await scene.open()
    other = await scene.lab.start("other")
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed, match=r"handshake failed|was expected"):
        await scene.honest.transport.dial(other.id, [bare])
    with pytest.raises(DialFailed, match="belongs to another peer"):
        await scene.honest.transport.dial(other.id, scene.addresses)
    await scene.check_honest()


async def test_d4_only_ed25519_keys_are_peers(scene):
    await scene.open()
    rsa = ID.from_pubkey(create_rsa_key_pair().public_key).to_base58()
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed):
        await scene.honest.transport.dial(rsa, [bare])
    await scene.check_honest()


async def test_d10_idle_strangers_of_one_address_do_not_keep_others_out(scene):
    await scene.open(TransportLimits(handshake_ms=60_000))
    late = await scene.lab.start("late")

    async def attack():
        streams = [await tcp(scene.addresses, "127.0.0.2") for _ in range(100)]
        with trio.fail_after(10):
            while scene.victim.transport.counters["handshakes_refused"] < 84:  # noqa: ASYNC110
                await trio.sleep(0.01)
        for stream in streams:
            await trio.aclose_forcefully(stream)

    attacking = asyncio.create_task(scene.attack(attack))
    await late.dial(scene.victim)
    await attacking
    await scene.check_honest()


def test_d10_the_gate_bounds_each_address_and_all_together():
    gate = HandshakeGate(TransportLimits(handshakes=3, handshakes_per_ip=2))
    first, second = gate.enter("192.0.2.1"), gate.enter("192.0.2.1")
    assert first is not None and second is not None
    assert gate.enter("192.0.2.1") is None
    assert gate.enter("192.0.2.2") is not None
    assert gate.enter("192.0.2.3") is None
    first.leave()
    first.leave()
    assert gate.in_progress == 2
    assert gate.enter("192.0.2.1") is not None


async def test_d10_a_stranger_that_says_nothing_is_dropped(scene):
    await scene.open(TransportLimits(handshake_ms=1_000))

    async def attack():
        stream = await tcp(scene.addresses)
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
        await stream.aclose()

    await scene.attack(attack)
    assert scene.victim.transport.counters["handshakes_failed"] == 1


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(200), random.Random(2).randbytes(500)],
    ids=["http", "zeros", "random"],
)
async def test_d10_a_stranger_that_speaks_anything_else_is_dropped(scene, noise):
    await scene.open(TransportLimits(handshake_ms=1_500))

    async def attack():
        stream = await tcp(scene.addresses)
        await stream.send_all(noise)
        with contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        await stream.aclose()

    await scene.attack(attack)
    await scene.check_honest()


async def test_a_channel_opened_twice_before_all_stand_is_a_failed_handshake(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            for _ in range(2):
                stream = await muxer.open_stream()
                await propose(stream, "/meshnode/1/control", 1_000)
            await cut_off(muxer)

    await scene.attack(attack)
    await failed_handshakes(scene, 1)
    assert scene.victim.seen.connections == 1


async def failed_handshakes(scene, count):
    async with asyncio.timeout(DEADLINE_S):
        while scene.victim.transport.counters["handshakes_failed"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_peer_that_brings_up_no_channels_is_dropped(scene):
    await scene.open(TransportLimits(handshake_ms=1_500))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await cut_off(muxer)

    await scene.attack(attack)
    await failed_handshakes(scene, 1)


async def test_a_peer_that_says_goodbye_before_the_channels_stand_has_failed(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await muxer._write_frame(struct.pack(YAMUX_HEADER_FORMAT, 0, TYPE_GO_AWAY, 0, 0, 99))
            await cut_off(muxer)

    for number in range(1, 6):
        await scene.attack(attack)
        await failed_handshakes(scene, number)


async def test_a_stream_before_the_channels_stand_is_reset(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            stream = await muxer.open_stream()
            await propose(stream, "/meshnode/1/stream", 1_000)
            with trio.fail_after(5):
                await stream.read(1)

    with pytest.raises(Exception, match=r"."):
        await scene.attack(attack)
    await scene.check_honest()


def test_negotiation_failures_are_transport_errors():
    assert issubclass(NegotiationFailed, TransportError)
