"""What finding members costs: a rendezvous point beside a Kademlia table, and a LAN.

    python -m benchmarks.bench_discovery [--members 16 256 4096] [--hosts 10] [--json]

A *visit* is one node that takes the records of all members from a rendezvous point and leaves its
own; bytes are those of the frames both ways, CPU that of both sides with every signature checked
twice. *Kademlia* is py-libp2p's own on stock hosts of one process, each of which knows each other:
one host provides a key, another finds who does. *mDNS* starts and ends; what counts is for how long
the loop stood still, with the library in threads of its own, and with it in the loop.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from nacl.signing import SigningKey

from benchmarks._harness import describe_machine, describe_revision
from meshnode.core.peer_record import sign_record
from meshnode.core.record_book import RecordBook
from meshnode.core.transport_id import compute_transport_id
from meshnode.discovery.mdns import LanDiscovery
from meshnode.discovery.rendezvous import PeersDesk, visit
from meshnode.transport.peer_id import peer_id_from_public_key
from tests.support.frame_streams import FrameEnd, make_pair

NETWORK = bytes(32)
NOW_MS = 10_000_000
ADDRESSES = ("/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWQ2Ajsv2YpwxyEz5ZUvpvvqNSTPKMgMnqDA4tzPuHj8NB",)


@dataclass(frozen=True, slots=True)
class VisitFigures:
    """One visit to a point that knows so many members."""

    members: int
    size_bytes: int
    bytes_per_record: float
    round_trips: int
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class KademliaFigures:
    """One key provided and found."""

    hosts: int
    provide_ms: float
    find_ms: float
    found: int
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class LanFigures:
    """One start and end."""

    start_and_end_ms: float
    loop_stood_still_ms: float


def make_record(number: int) -> tuple[bytes, bytes]:
    seed = hashlib.sha256(f"{number}".encode()).digest()
    key = SigningKey(seed).verify_key.encode()
    wire = sign_record(seed, key, network=NETWORK, now_ms=NOW_MS, roles=0, addresses=ADDRESSES)
    return key, wire


class _Counted:
    """A stream that counts what goes either way."""

    def __init__(self, end: FrameEnd) -> None:
        self._end = end
        self.peer = end.peer
        self.size_bytes = 0
        self.round_trips = 0

    async def send(self, frame: bytes) -> None:
        self.size_bytes += len(frame)
        self.round_trips += 1
        await self._end.send(frame)

    async def receive(self) -> bytes | None:
        frame = await self._end.receive()
        self.size_bytes += len(frame or b"")
        return frame

    async def finish(self) -> None:
        await self._end.finish()

    def reset(self) -> None:
        self._end.reset()


async def measure_visit(members: int) -> VisitFigures:
    made = [make_record(number) for number in range(members)]
    names = {compute_transport_id(key) for key, _ in made}
    theirs, own = (RecordBook(NETWORK, names.__contains__) for _ in range(2))
    for _, wire in made[1:]:
        theirs.admit(NOW_MS, wire)
    desk = PeersDesk(
        theirs, serves=True, read_own=lambda: made[1][1], probe=None, now_ms=lambda: NOW_MS
    )
    near, far = make_pair("visitor", "point")
    stream = _Counted(near)
    began_s = time.process_time()
    serving = asyncio.create_task(desk.serve(far))
    await visit(stream, made[0][1], lambda wire: _admit(own, wire))
    near.reset()
    await serving
    cpu_ms = (time.process_time() - began_s) * 1_000
    assert len(own) == members
    per_record = stream.size_bytes / members
    return VisitFigures(members, stream.size_bytes, per_record, stream.round_trips, cpu_ms)


def _admit(book: RecordBook, wire: bytes) -> None:
    book.admit(NOW_MS, wire)


def measure_kademlia(hosts: int) -> KademliaFigures:
    import trio

    logging.disable(logging.CRITICAL)  # the library tells of every stream that ends
    try:
        return trio.run(_run_kademlia, hosts)
    finally:
        logging.disable(logging.NOTSET)


async def _run_kademlia(count: int) -> KademliaFigures:
    import trio
    from libp2p import new_host
    from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
    from libp2p.peer.peerinfo import PeerInfo
    from libp2p.tools.anyio_service import background_trio_service
    from multiaddr import Multiaddr

    hosts = [new_host() for _ in range(count)]
    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(_keep_host, host, Multiaddr("/ip4/127.0.0.1/tcp/0"))
        while not all(host.get_addrs() for host in hosts):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.05)
        for number, host in enumerate(hosts):
            for other in hosts[:number]:
                await host.connect(PeerInfo(other.get_id(), other.get_addrs()))
        tables = [KadDHT(host, DHTMode.SERVER) for host in hosts]
        for table in tables:
            nursery.start_soon(_keep_table, background_trio_service, table)
        await trio.sleep(1)
        for host, table in zip(hosts, tables, strict=True):
            for other in hosts:
                if other is not host:
                    info = PeerInfo(other.get_id(), other.get_addrs())
                    host.get_peerstore().add_addrs(info.peer_id, info.addrs, 3_600)
                    await table.routing_table.add_peer(info)
        figures = await _look_up(tables, count)
        nursery.cancel_scope.cancel()
    return figures


async def _look_up(tables: list[Any], count: int) -> KademliaFigures:
    began_s, cpu_s = time.monotonic(), time.process_time()
    await tables[1].provide("member")
    provided_s = time.monotonic()
    found = await tables[-1].find_providers("member")
    found_s = time.monotonic()
    return KademliaFigures(
        count,
        (provided_s - began_s) * 1_000,
        (found_s - provided_s) * 1_000,
        len(found),
        (time.process_time() - cpu_s) * 1_000,
    )


async def _keep_host(host: Any, address: Any) -> None:
    import trio

    async with host.run(listen_addrs=[address]):
        await trio.sleep_forever()


async def _keep_table(run: Any, table: Any) -> None:
    import trio

    async with run(table):
        await trio.sleep_forever()


async def measure_lan() -> LanFigures:
    key = SigningKey(bytes(32)).verify_key.encode()
    lan = LanDiscovery(
        NETWORK, peer_id_from_public_key(key), ("/ip4/127.0.0.1/tcp/4001",), lambda *_: None
    )
    gaps: list[float] = []
    watching = asyncio.create_task(_watch(gaps))
    await asyncio.sleep(0.1)
    began_s = time.monotonic()
    await lan.start()
    await lan.close()
    taken_ms = (time.monotonic() - began_s) * 1_000
    await asyncio.sleep(0.1)
    watching.cancel()
    await asyncio.wait([watching])
    return LanFigures(taken_ms, max(gaps) * 1_000)


async def _watch(gaps: list[float]) -> None:
    last_s = time.monotonic()
    while True:
        await asyncio.sleep(0.001)
        now_s = time.monotonic()
        gaps.append(now_s - last_s)
        last_s = now_s


def show(name: str, figures: Any, *, as_json: bool) -> None:
    values = asdict(figures)
    if as_json:
        head: dict[str, object] = {"benchmark": f"discovery.{name}"}
        head |= {"revision": describe_revision(), "machine": describe_machine()}
        print(json.dumps(head | values))
    else:
        shown = (
            f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in values.items()
        )
        print(f"{name:<10}", ", ".join(shown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, nargs="+", default=[16, 256, 4_096])
    parser.add_argument("--hosts", type=int, default=10, help="of Kademlia; 0 leaves it out")
    parser.add_argument("--no-lan", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for members in options.members:
        show("visit", asyncio.run(measure_visit(members)), as_json=options.json)
    if options.hosts:
        show("kademlia", measure_kademlia(options.hosts), as_json=options.json)
    if not options.no_lan:
        show("mdns", asyncio.run(measure_lan()), as_json=options.json)


if __name__ == "__main__":
    main()
