"""Scenarios in which py-libp2p 0.8.1 as it comes fails; run as a script, in a process of its own.

The library leaves sockets and tasks behind when it fails, which must not reach other tests. Prints
a JSON object: the name of each scenario and what went otherwise than shown ("" when nothing).
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from libp2p import new_host
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.io.exceptions import IncompleteReadError
from libp2p.io.utils import read_exactly
from libp2p.network.config import ConnectionConfig
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

DEADLINE_S = 60
DATA_HEADER = struct.Struct("!BBHII")


@asynccontextmanager
async def stock_host(**options) -> AsyncIterator[BasicHost]:
    """A running host on a port of its own, closed at the end."""
    host = new_host(**options)
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        try:
            yield host
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(3):
                await host.close()


def info(host: BasicHost) -> PeerInfo:
    return PeerInfo(host.get_id(), [a.decapsulate("/p2p") for a in host.get_addrs()])


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario under trio with a deadline."""

    async def bounded() -> None:
        with trio.fail_after(DEADLINE_S):
            await scenario()

    trio.run(bounded)


def connection(host: BasicHost, other: BasicHost):
    return host.get_network().get_connections(other.get_id())[0]


@contextmanager
def fails(*, kind: type[BaseException] = Exception, text: str = "") -> Iterator[None]:
    """The body must raise an error of this kind, or a group that holds one."""
    try:
        yield
    except BaseException as error:
        if not any(isinstance(leaf, kind) and text in str(leaf) for leaf in flatten(error)):
            raise
    else:
        raise AssertionError("nothing was raised")


def flatten(error):
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in flatten(inner)]
    return [error]


def d1_one_malformed_stream_kills_the_stock_host():
    async def scenario():
        async with stock_host() as victim, stock_host() as attacker:
            await attacker.connect(info(victim))
            stream = await connection(attacker, victim).muxed_conn.open_stream()
            await stream.write(b"\x05\xff\xfe\xfd\xfc\n")
            await trio.sleep_forever()

    with fails(kind=UnicodeDecodeError):
        run(scenario)


def d2_one_failing_stream_handler_kills_the_stock_host():
    async def scenario():
        async with stock_host() as victim, stock_host() as attacker:

            async def handler(_stream):
                raise ZeroDivisionError

            victim.set_stream_handler(TProtocol("/fails"), handler)
            await attacker.connect(info(victim))
            await attacker.new_stream(victim.get_id(), [TProtocol("/fails")])
            await trio.sleep_forever()

    with fails(kind=ZeroDivisionError):
        run(scenario)


def d3_the_stock_host_never_gives_an_inbound_slot_back():
    async def scenario():
        config = ConnectionConfig(
            max_connections=2, min_connections=0, low_watermark=0, high_watermark=2
        )
        async with stock_host(connection_config=config) as victim:
            for _ in range(2):
                async with stock_host() as guest:
                    await guest.connect(info(victim))
            limiter = victim.get_network()._inbound_limiter
            assert limiter.borrowed_tokens == 2
            assert not victim.get_network().get_connections()

    run(scenario)


def d4_the_stock_host_offers_a_protocol_that_proves_no_key():
    transports = new_host().get_network().upgrader.security_multistream.transports
    assert TProtocol("/plaintext/2.0.0") in transports


def d5_the_stock_muxer_buffers_far_beyond_its_window():
    async def scenario():
        async with stock_host() as victim, stock_host() as attacker:
            await attacker.connect(info(victim))
            muxer = connection(attacker, victim).muxed_conn
            stream = await muxer.open_stream()
            frame = DATA_HEADER.pack(0, 0, 0, stream.stream_id, 60_000) + bytes(60_000)
            for _ in range(40):
                await muxer._write_frame(frame)
            theirs = connection(victim, attacker).muxed_conn
            while sum(map(len, theirs.stream_buffers.values())) < 2_000_000:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)
            assert not theirs.is_closed

    run(scenario)


def d6_the_stock_host_keeps_every_silent_stream():
    async def scenario():
        async with stock_host() as victim, stock_host() as attacker:
            await attacker.connect(info(victim))
            muxer = connection(attacker, victim).muxed_conn
            for stream_id in range(1_001, 1_601, 2):
                await muxer._write_frame(DATA_HEADER.pack(0, 1, 1, stream_id, 0))
            theirs = connection(victim, attacker).muxed_conn
            while len(theirs.streams) < 300:  # noqa: ASYNC110 - no event tells
                await trio.sleep(0.01)

    run(scenario)


def d11_simultaneous_dials_leave_two_stock_connections():
    async def scenario():
        async with stock_host() as one, stock_host() as other:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.connect, info(other))
                nursery.start_soon(other.connect, info(one))
            assert len(one.get_network().get_connections(other.get_id())) == 2

    run(scenario)


def d12_a_stock_host_that_is_not_closed_leaves_tasks_behind():
    async def scenario():
        before = trio.lowlevel.current_statistics().tasks_living
        async with stock_host() as other:
            host = new_host()
            during = trio.lowlevel.current_statistics().tasks_living
            async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
                await host.connect(info(other))
            assert trio.lowlevel.current_statistics().tasks_living > during
            await host.close()
        assert before < during

    run(scenario)


def d13_the_stock_host_refuses_to_dial_again_after_one_failure():
    async def scenario():
        async with stock_host() as one:
            other = new_host()
            with trio.socket.socket() as unused:
                await unused.bind(("127.0.0.1", 0))
                port = unused.getsockname()[1]
            peer = other.get_id()
            one.get_peerstore().add_addrs(peer, [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")], 60)
            with fails():
                await one.get_network().dial_peer(peer)
            with fails(text="negative cache"):
                await one.get_network().dial_peer(peer)

    run(scenario)


def d15_two_stock_hosts_listen_on_one_port():
    async def scenario():
        async with stock_host() as one:
            taken = info(one).addrs[0]
            other = new_host()
            async with other.run([taken]):
                assert info(other).addrs[0] == taken
                await other.close()

    run(scenario)


def d16_stock_reads_give_up_after_a_hundred_segments():
    class OneByteAtATime:
        async def read(self, n=None):
            return b"x"

    async def scenario():
        with fails(kind=IncompleteReadError):
            await read_exactly(OneByteAtATime(), 200)

    run(scenario)


def d18_the_stock_host_does_not_dial_through_a_relay():
    async def scenario():
        async with stock_host() as relay, stock_host() as one:
            peer = new_host().get_id()
            address = Multiaddr(f"{info(relay).addrs[0]}/p2p/{relay.get_id()}/p2p-circuit")
            one.get_peerstore().add_addrs(peer, [address], 60)
            with fails():
                await one.get_network().dial_peer(peer)

    run(scenario)


def d22_the_stock_host_dials_on_its_own_account():
    assert ConnectionConfig().low_watermark > 0


SCENARIOS = (
    d1_one_malformed_stream_kills_the_stock_host,
    d2_one_failing_stream_handler_kills_the_stock_host,
    d3_the_stock_host_never_gives_an_inbound_slot_back,
    d4_the_stock_host_offers_a_protocol_that_proves_no_key,
    d5_the_stock_muxer_buffers_far_beyond_its_window,
    d6_the_stock_host_keeps_every_silent_stream,
    d11_simultaneous_dials_leave_two_stock_connections,
    d12_a_stock_host_that_is_not_closed_leaves_tasks_behind,
    d13_the_stock_host_refuses_to_dial_again_after_one_failure,
    d15_two_stock_hosts_listen_on_one_port,
    d16_stock_reads_give_up_after_a_hundred_segments,
    d18_the_stock_host_does_not_dial_through_a_relay,
    d22_the_stock_host_dials_on_its_own_account,
)


def main() -> None:
    logging.disable()
    outcomes = {}
    for scenario in SCENARIOS:
        try:
            scenario()
            outcomes[scenario.__name__] = ""
        except BaseException as error:
            outcomes[scenario.__name__] = repr(error)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
