"""Attacks below the core, mounted on a real transport with one limit lifted, and as it is.

    python -m tests.campaigns.abuse_real
    python -m tests.campaigns.abuse_real --row slow-reader --json

The victim is a process of its own that listens on loopback over libp2p; the attackers come from other
loopback addresses. What is counted is what an honest peer has of it: how long it takes to connect,
or how much memory the victim takes. The bound must hold with the limit and must not hold without it;
otherwise exit code 1. The simulated attacks on the core are in `python -m simulations abuse`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import trio
from libp2p.stream_muxer.yamux.yamux import Yamux

from meshnode.errors import MeshError
from meshnode.transport.base import Channel, PeerId
from meshnode.transport.peer_id import peer_id_from_public_key
from tests.campaigns.abuse_victim import PING, PONG
from tests.support.daemons import read_rss_kib
from tests.support.libp2p_attacker import attacker, channels, tcp
from tests.support.transports import Lab, Peer, seed_of

LIFTED: Final = 2**31
CONNECT_MS: Final = 20_000
"""An honest peer that is not connected by then counts as kept out."""
DIAL_AGAIN_S: Final = 0.2
HOLD_S: Final = 8.0
FRAME_BYTES_LIFTED: Final = 2**24 - 1
HEADER: Final = struct.Struct(">BBHII")
DATA, WINDOW_UPDATE, SYN = 0, 1, 1
PIECE: Final = bytes(60_000)

Attack = Callable[["Target"], Awaitable[None]]


@dataclass
class Target:
    """Where the victim listens, and until when to go on."""

    addresses: tuple[str, ...]
    stop: threading.Event
    mounted: threading.Event

    async def hold(self) -> None:
        """All is in place: keep it so."""
        self.mounted.set()
        while not self.stop.is_set():  # noqa: ASYNC110 - another thread sets it
            await trio.sleep(0.05)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One attack, and the limit that answers it."""

    name: str
    attack: str
    defence: str
    figure: str
    bound: int
    mount: Attack
    lifted: dict[str, Any] = field(default_factory=dict)
    lifted_always: dict[str, Any] = field(default_factory=dict)
    """What would answer the attack as well, a little later."""
    frame_bytes_max: int = 0
    counts_memory: bool = True
    poured: int = 0
    """Large frames that the victim has for the attacker."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one row has shown."""

    row: str
    figure: str
    without: int
    guarded: int
    bound: int
    answer_without_ms: int
    """How long an honest peer waits for an answer meanwhile; -1 where it gets none."""
    answer_guarded_ms: int

    @property
    def holds(self) -> bool:
        """Whether the limit keeps its bound, and the attack is one without it."""
        return self.guarded <= self.bound < self.without


# --- attackers -----------------------------------------------------------------------------------


async def say_nothing(target: Target) -> None:
    """80 connections from five addresses that never say a word, made once."""
    streams = [await tcp(target.addresses, f"127.0.5.{1 + number % 5}") for number in range(80)]
    await target.hold()
    for stream in streams:
        await trio.aclose_forcefully(stream)


async def stop_halfway(target: Target) -> None:
    """80 connections from five addresses that prove a key and open no channel."""
    async with AsyncExitStack() as stack:
        for number in range(80):
            with suppress(Exception):
                line = attacker(target.addresses, f"half {number}", f"127.0.9.{1 + number % 5}")
                await stack.enter_async_context(line)
        await target.hold()


async def dial_without_end(target: Target) -> None:
    """128 connections from one address at any moment; whichever ends is made again."""

    async def keep_one() -> None:
        while not target.stop.is_set():
            with suppress(OSError):
                stream = await tcp(target.addresses, "127.0.6.1")
                with suppress(trio.BrokenResourceError):
                    while await stream.receive_some(4_096):
                        pass
                await trio.aclose_forcefully(stream)
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        for _ in range(128):
            nursery.start_soon(keep_one)
        await trio.sleep(1)
        await target.hold()
        nursery.cancel_scope.cancel()


async def _write(muxer: Yamux, *pieces: bytes) -> bool:
    """Write below the streams; answers whether the connection still stands."""
    for piece in pieces:
        try:
            with trio.fail_after(2):
                await muxer._write_frame(piece)
        except Exception:  # the library raises what it likes once it is cut off
            return False
    return True


async def open_streams(target: Target) -> None:
    """20,000 streams over one connection, none of them negotiated."""
    async with attacker(target.addresses, "streams", "127.0.7.1") as muxer:
        await channels(muxer)
        for number in range(101, 101 + 2 * 20_000, 2):
            if not await _write(muxer, HEADER.pack(0, WINDOW_UPDATE, SYN, number, 0)):
                break
        await target.hold()


async def promise_large_frames(target: Target) -> None:
    """12 MB of a frame of 16 MB on each of eight connections."""
    async with AsyncExitStack() as stack:
        for number in range(8):
            line = attacker(target.addresses, f"oversize {number}", f"127.0.8.{1 + number}")
            with suppress(Exception):
                muxer = await stack.enter_async_context(line)
                standing = await channels(muxer)
                with trio.move_on_after(10):
                    await standing[Channel.BULK].write(FRAME_BYTES_LIFTED.to_bytes(4, "big"))
                    for _ in range(200):
                        await standing[Channel.BULK].write(PIECE)
        await target.hold()


async def read_nothing(target: Target) -> None:
    """A peer whose channels stand, and that takes nothing out of its socket."""
    async with attacker(target.addresses, "slow", "127.0.7.3") as muxer:
        await channels(muxer)
        await target.hold()


ROWS: Final = (
    Row(
        name="slowloris",
        attack="80 connections from 5 addresses that say nothing",
        defence="3 s for each of three steps of a handshake",
        figure="ms until an honest peer is connected",
        bound=15_000,
        mount=say_nothing,
        lifted={"handshake_ms": 3_600_000},
        counts_memory=False,
    ),
    Row(
        name="handshake-flood",
        attack="80 connections from 5 addresses that stop halfway through a handshake",
        defence="3 s for each of three steps of a handshake",
        figure="ms until an honest peer is connected",
        bound=15_000,
        mount=stop_halfway,
        lifted={"handshake_ms": 3_600_000},
        counts_memory=False,
    ),
    Row(
        name="dial-flood",
        attack="128 connections from one address at any moment",
        defence="16 handshakes at a time of one address",
        figure="ms until an honest peer is connected",
        bound=1_500,
        mount=dial_without_end,
        lifted={"handshakes_per_ip": LIFTED},
        lifted_always={"handshake_ms": 3_600_000},
        counts_memory=False,
    ),
    Row(
        name="stream-flood",
        attack="20,000 streams over one connection",
        defence="384 streams, then the connection ends",
        figure="KiB the victim grows by",
        bound=12_000,
        mount=open_streams,
        lifted={"muxer_streams": LIFTED, "inbound_streams": LIFTED, "handshake_ms": 3_600_000},
    ),
    Row(
        name="oversize-frame",
        attack="12 MB of a frame of 16 MB on each of 8 connections",
        defence="60,000 bytes a frame, checked before anything is kept",
        figure="KiB the victim grows by",
        bound=16_000,
        mount=promise_large_frames,
        frame_bytes_max=FRAME_BYTES_LIFTED,
    ),
    Row(
        name="slow-reader",
        attack="a peer takes nothing of 120 MB that the victim has for it",
        defence="8 MiB queued for one peer, then it is not sent to",
        figure="KiB the victim grows by",
        bound=16_000,
        mount=read_nothing,
        lifted={"queue_bytes": LIFTED},
        poured=2_000,
    ),
)


# --- the victim ----------------------------------------------------------------------------------


@dataclass
class Process:
    """The victim, from outside."""

    child: asyncio.subprocess.Process
    peer: PeerId
    addresses: tuple[str, ...]

    def read_peak_kib(self) -> int:
        """Its largest memory so far."""
        return read_rss_kib(self.child.pid)[1]

    async def tell(self, line: str) -> None:
        """Have it do something."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{line}\n".encode())
        await self.child.stdin.drain()


@asynccontextmanager
async def victim(row: Row, *, guarded: bool) -> AsyncIterator[Process]:
    """A victim with its limits, or with one of them lifted."""
    lifted = row.lifted_always | ({} if guarded else row.lifted)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.campaigns.abuse_victim",
        json.dumps(lifted),
        str(0 if guarded else row.frame_bytes_max),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what its library has to say of the attackers
    )
    try:
        assert child.stdout is not None
        said = json.loads(await asyncio.wait_for(child.stdout.readline(), 60))
        yield Process(child, PeerId(said["peer"]), tuple(said["addresses"]))
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


# --- measuring -----------------------------------------------------------------------------------


async def connect(honest: Peer, process: Process) -> int:
    """Dial until connected; answers how many ms that took, or `CONNECT_MS` where it came to nothing."""
    began_s = time.monotonic()
    while (took_ms := round(1_000 * (time.monotonic() - began_s))) < CONNECT_MS:
        try:
            async with asyncio.timeout(CONNECT_MS / 1_000 - took_ms / 1_000):
                await honest.transport.dial(process.peer, process.addresses)
            return round(1_000 * (time.monotonic() - began_s))
        except (MeshError, TimeoutError):
            await asyncio.sleep(DIAL_AGAIN_S)
    return CONNECT_MS


async def ask(honest: Peer, process: Process) -> int:
    """How many ms a PING takes; -1 where no answer comes."""
    before = honest.seen.payloads(Channel.CONTROL).count(PONG)
    began_s = time.monotonic()
    if not honest.transport.send(process.peer, Channel.CONTROL, [PING]):
        return -1
    try:
        await honest.seen.until(lambda: honest.seen.payloads(Channel.CONTROL).count(PONG) > before)
    except TimeoutError:
        return -1
    return round(1_000 * (time.monotonic() - began_s))


async def mount(row: Row, *, guarded: bool) -> tuple[int, int]:
    """Attack once; answers the figure, and how long an honest peer waits for an answer."""
    async with victim(row, guarded=guarded) as process:
        target = Target(process.addresses, threading.Event(), threading.Event())
        lab = Lab("libp2p")
        honest = await lab.start("honest")
        if row.counts_memory:
            await connect(honest, process)
            await ask(honest, process)
        start_kib = process.read_peak_kib()
        attacking = asyncio.create_task(asyncio.to_thread(trio.run, row.mount, target))
        try:
            await asyncio.wait(
                [attacking, asyncio.create_task(asyncio.to_thread(target.mounted.wait, 60))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            if row.poured:
                name = _name_attacker("slow")
                await process.tell(f"pour {name} {row.poured}")
            if row.counts_memory:
                answer_ms = await ask(honest, process)
                await asyncio.sleep(HOLD_S)
                return process.read_peak_kib() - start_kib, answer_ms
            figure = await connect(honest, process)
            return figure, await ask(honest, process) if figure < CONNECT_MS else -1
        finally:
            target.stop.set()
            with suppress(Exception):
                await attacking
            await lab.close()


def _name_attacker(name: str) -> str:
    from nacl.signing import SigningKey

    return peer_id_from_public_key(SigningKey(seed_of(name)).verify_key.encode())


async def measure(row: Row) -> Record:
    """Mount an attack without its limit and with it."""
    without, answer_without_ms = await mount(row, guarded=False)
    guarded, answer_guarded_ms = await mount(row, guarded=True)
    return Record(
        row=row.name,
        figure=row.figure,
        without=without,
        guarded=guarded,
        bound=row.bound,
        answer_without_ms=answer_without_ms,
        answer_guarded_ms=answer_guarded_ms,
    )


def show(record: Record) -> str:
    """A line for people."""
    verdict = "ok" if record.holds else "the bound does not hold, or it is no attack"
    return (
        f"{record.row:<16}{record.figure:<38}{record.without:>9,}{record.guarded:>9,}"
        f"{record.bound:>9,}   answers {record.answer_without_ms:,} / "
        f"{record.answer_guarded_ms:,} ms  {verdict}"
    )


def main() -> int:
    """Mount the attacks; 1 if a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [row.name for row in ROWS]
    parser.add_argument("--row", action="append", choices=names, help="only this one")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    given = parser.parse_args()
    logging.disable()  # what the attackers' own library has to say of being cut off
    if not given.json:
        print(f"{'attack':<16}{'what is counted':<38}{'without':>9}{'with':>9}{'bound':>9}")
    missed = 0
    for row in ROWS:
        if given.row is None or row.name in given.row:
            record = asyncio.run(measure(row))
            missed += not record.holds
            print(json.dumps(asdict(record)) if given.json else show(record), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
