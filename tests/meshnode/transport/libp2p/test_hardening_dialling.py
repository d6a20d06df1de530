"""Dialling and closing: deadlines, one connection per pair, nothing unasked or left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter

import pytest
import trio
import trio.testing

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.libp2p.host import Identity, answer
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import TransportLimits
from tests.support.transports import DEADLINE_S, connected, seed_of


async def test_d11_the_smaller_id_keeps_its_dial(scene):
    for round_ in range(8):
        one = await scene.lab.start(f"one {round_}")
        other = await scene.lab.start(f"other {round_}")
        await asyncio.gather(one.dial(other), other.dial(one))
        await connected(one, other)
        smaller, larger = sorted((one, other), key=lambda peer: peer.id)
        assert [event for event, _ in smaller.seen.events] == ["outbound"]
        assert [event for event, _ in larger.seen.events] == ["inbound"]


async def test_d12_closing_leaves_nothing_behind(scene):
    async def tasks():
        return trio.lowlevel.current_statistics().tasks_living

    before = await scene.guest.run(tasks)
    for round_ in range(5):
        one, other = await scene.lab.start(f"one {round_}"), await scene.lab.start(f"x {round_}")
        await one.dial(other)
        await one.transport.close()
        await other.transport.close()
    assert await scene.guest.run(tasks) == before


async def test_handshake_that_ends_while_the_node_closes_ends_only_itself(scene, monkeypatch):
    one, other = await scene.lab.start("one"), await scene.lab.start("other")
    secured, closing = asyncio.Event(), trio.Event()
    secure, end = other.transport._identity.secure, other.transport._end

    async def secure_late(*arguments):
        found = await secure(*arguments)
        secured.set()
        await closing.wait()
        return found

    async def end_later(reason):
        await scene.guest.run(release)
        await end(reason)

    async def release():
        closing.set()
        await trio.testing.wait_all_tasks_blocked()

    monkeypatch.setattr(other.transport._identity, "secure", secure_late)
    monkeypatch.setattr(other.transport, "_end", end_later)
    dial = asyncio.create_task(one.dial(other))
    await secured.wait()
    await other.transport.close()
    with pytest.raises(TransportError):
        await dial


async def test_d13_a_peer_is_reached_again_at_once_after_failures(scene):
    await scene.open()
    other = scene.lab.make("other")
    for _ in range(3):
        with pytest.raises(DialFailed):
            await scene.honest.transport.dial(other.peer_id, ["/ip4/127.0.0.1/tcp/1"])
    started = await scene.lab.start("other")
    await scene.honest.dial(started)


async def test_d14_a_dial_ends_at_its_deadline(scene):
    one = await scene.lab.start("one", TransportLimits(dial_ms=200))
    other = scene.lab.make("other")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}"
        with pytest.raises(DialFailed, match="no answer within 200 ms"):
            await asyncio.wait_for(one.transport.dial(other.peer_id, [address]), DEADLINE_S)


async def test_d14_a_silent_address_does_not_hold_up_the_next(scene):
    await scene.open()
    patient = TransportLimits(dial_ms=60_000, handshake_ms=60_000)
    late = await scene.lab.start("late", patient)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}"
        dial = late.transport.dial(scene.victim.id, [address, *scene.addresses])
        await asyncio.wait_for(dial, DEADLINE_S)


async def test_d15_a_port_is_not_shared(scene):
    await scene.open()
    from meshnode.transport.libp2p.transport import Libp2pTransport

    taken = scene.addresses[0].split("/p2p/")[0]
    twin = Libp2pTransport(bytes(32), listen=["/ip4/127.0.0.1/tcp/0", taken])
    with pytest.raises(TransportError, match="Address already in use"):
        await twin.start(scene.victim.seen)
    await scene.check_honest()


async def test_d18_relayed_address_of_a_peer_that_is_no_relay_is_refused(scene):
    await scene.open()
    other = scene.lab.make("other")
    address = f"{scene.addresses[0]}/p2p-circuit/p2p/{other.peer_id}"
    with pytest.raises(DialFailed, match="no relay"):
        await scene.honest.transport.dial(other.peer_id, [address])


async def test_an_acceptor_that_speaks_other_protocols_is_not_connected(scene):
    await scene.open()

    async def listen(task_status):
        async def serve(stream):
            tcp_connection = TcpConnection(stream, is_initiator=False, counters=Counter())
            identity = Identity(seed_of("odd"))
            _, guard = await identity.secure(tcp_connection, None, TransportLimits())
            assert guard.muxer is not None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guard.muxer.start)
                with contextlib.suppress(Exception):
                    while True:
                        stream = await guard.muxer.accept_stream()
                        await answer(stream, ["/something/else"], 1_000)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            task_status.set_result(listeners[0].socket.getsockname()[1])
            await stop.wait()
            nursery.cancel_scope.cancel()

    stop = trio.Event()
    port = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(scene.attack(listen, port))
    odd = Identity(seed_of("odd")).peer_id
    address = f"/ip4/127.0.0.1/tcp/{await port}"
    with pytest.raises(DialFailed, match="does not speak"):
        await scene.honest.transport.dial(odd, [address])
    stop.set()
    await listening
    await scene.check_honest()


async def test_a_node_does_not_dial_itself_by_another_name(scene):
    await scene.open()
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed, match="itself"):
        await scene.victim.transport.dial(scene.victim.id, [bare])
