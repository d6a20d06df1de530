"""A mesh of real processes above the size of a full mesh: in one piece, at rest and under load.

    python -m tests.campaigns.fleet --nodes 24 --rate 20 --seconds 60

Every node is a process on a host of its own (a network namespace), so that the kernel counts each
one's bytes. They join one after another through a single ticket; beyond 16 members the full mesh
becomes an overlay. First nobody says anything: for some minutes in which neighbours are exchanged and
meet for the first time, each measured by itself, then for the time in which idle traffic is measured.
Then several authors publish. The mesh must be in one piece whenever it is looked at, all stores must be equal
afterwards, and every vertex that was acknowledged must be in all of them. Bytes are counted twice:
by the nodes, which count what they write to sockets, and by the kernel at each host's interface,
headers and acknowledgements included. Traffic of a node is what it sends and what it receives, in
equal parts; the limits hold for either direction, that of idle traffic from the second minute on. What
the nodes wrote is told by kind of message, and what came on top of it: encryption and frames, the
handshakes of connections, and headers of packets. Prints a closing table, or one JSON document; exit
code 1 when anything was not as it must be, 77 where this machine lets nobody have namespaces.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import mean

from tests.support.daemons import percentile
from tests.support.fleet import Fleet, open_fleet
from tests.support.netns import HostNetwork, enter_namespaces, find_obstacle
from tests.support.process_readings import ProcessReading

MODULE = "tests.campaigns.fleet"
JOIN_S = 300.0
EQUAL_S = 120.0
SETTLE_S = 180.0
MINUTE_S = 60.0
LOOK_EVERY_S = 10.0
IDLE_BYTES_PER_S = 1_000
LOAD_BYTES_PER_S = 1_000_000
NO_NAMESPACES = 77
"""Exit code: test harnesses know it as 'skipped'."""

Tell = Callable[[str], None]


@dataclass
class Phase:
    """Some seconds of the mesh, per node and second; means, and the most of any node."""

    seconds: float
    counted_sent: float
    """Bytes that nodes wrote to their sockets."""
    counted_sent_most: float
    kernel_sent: float
    """Bytes that left their interfaces."""
    kernel_sent_most: float
    kernel_received: float
    kernel_received_most: float
    packets_sent: float
    cpu_percent: float
    cpu_percent_most: float
    rss_mb: float
    rss_mb_most: float
    machine_load: float
    """Of the whole machine, of which other programs use their part."""
    closed: int
    """Connections that ended."""
    by_kind: dict[str, float]
    """Bytes per node and second of what was said, before encryption."""


@dataclass
class Report:
    """What a campaign showed."""

    nodes: int
    joined_s: float = 0.0
    degrees: tuple[int, ...] = ()
    first: list[Phase] = field(default_factory=list)
    """The first minutes after joining: nobody says anything, many meet for the first time."""
    idle: Phase | None = None
    loaded: Phase | None = None
    authors: int = 0
    rate: float = 0.0
    """Vertices per second that were really published."""
    missed: int = 0
    """Vertices that were not said, because their author's last ones were still under way."""
    wait_p50_s: float = 0.0
    """From asking a node to publish to its promise."""
    wait_p90_s: float = 0.0
    vertices: int = 0
    blocks: int = 0
    """Of the validator, among them."""
    refused: int = 0
    looks: int = 0
    """Times the shape was looked at."""
    degree_least: int = 0
    equal_s: float = 0.0
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh and what is measured of it."""

    def __init__(self, fleet: Fleet, *, tell: Tell) -> None:
        self._fleet = fleet
        self._tell = tell
        self.report = Report(len(fleet.members), degree_least=len(fleet.members))

    async def run(
        self, *, settle: float, rate: float, authors: int, seconds: float, idle_limit: float
    ) -> None:
        """Join, rest, load, compare."""
        report, fleet = self.report, self._fleet
        report.joined_s = await fleet.wait_joined(timeout_s=JOIN_S)
        self._tell(f"everybody knows everybody {report.joined_s:.1f} s after the last start")
        for number in range(1, 1 + max(1, round(settle / MINUTE_S))):
            report.first.append(await self._measure(min(settle, MINUTE_S), looks=True))
            self._tell(_describe(f"minute {number}", report.first[-1]))
        await fleet.wait_equal(timeout_s=EQUAL_S)
        report.idle = await self._measure(seconds)
        await self._look()
        self._tell(_describe("idle", report.idle))
        load = fleet.start_load(per_s=rate, authors=authors)
        report.loaded = await self._measure(seconds, looks=True)
        report.authors, report.rate = authors, await load.stop()
        report.missed = load.missed
        report.wait_p50_s = percentile(load.waits_s, 0.5)
        report.wait_p90_s = percentile(load.waits_s, 0.9)
        self._tell(_describe(f"{report.rate:.1f} vertices/s", report.loaded))
        await self._finish()
        self._judge(idle_limit)

    async def _measure(self, seconds: float, *, looks: bool = False) -> Phase:
        fleet = self._fleet
        said = await fleet.read_messages()
        counted, before = await fleet.read_counters(), fleet.read()
        left_s = seconds
        while left_s > 0:
            await asyncio.sleep(min(LOOK_EVERY_S, left_s))
            left_s -= LOOK_EVERY_S
            if looks:
                await self._look()
        after, counted_after = fleet.read(), await fleet.read_counters()
        phase = _compare(before, after, counted, counted_after)
        divisor = phase.seconds * len(after)
        for kind, size_bytes in (await fleet.read_messages()).items():
            phase.by_kind[kind] = (size_bytes - said.get(kind, 0.0)) / divisor
        return phase

    async def _look(self) -> None:
        shape = await self._fleet.read_shape()
        report = self.report
        report.looks += 1
        report.degrees = shape.degrees
        report.degree_least = min(report.degree_least, *shape.degrees)
        if shape.parts > 1:
            self._fail(f"the mesh is in {shape.parts} pieces")

    async def _finish(self) -> None:
        report, fleet = self.report, self._fleet
        try:
            report.equal_s = await fleet.wait_equal(timeout_s=EQUAL_S)
        except TimeoutError:
            self._fail(f"{await fleet.count_stores()} different stores {EQUAL_S:.0f} s later")
        for member, status in zip(
            fleet.members,
            await asyncio.gather(*(each.node.remote.status() for each in fleet.members)),
            strict=True,
        ):
            report.vertices = status.vertices
            report.blocks = 0 if status.consensus is None else status.consensus.round
            if status.forks:
                self._fail(f"{member.name} saw a fork")
        report.refused = sum(member.refused for member in fleet.members)
        for line in await fleet.find_lost():
            self._fail(line)

    def _judge(self, idle_limit: float) -> None:
        idle, loaded = self.report.idle, self.report.loaded
        assert idle is not None
        assert loaded is not None
        first = enumerate(self.report.first[1:], start=2)
        for name, phase, limit in (
            *((f"minute {number}", phase, idle_limit) for number, phase in first),
            ("idle", idle, idle_limit),
            ("under load", loaded, LOAD_BYTES_PER_S),
        ):
            for way, found in (("sent", phase.kernel_sent), ("received", phase.kernel_received)):
                if found > limit:
                    self._fail(f"{name}: {found:.0f} B/s {way} per node, {limit:.0f} allowed")

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"FAILED {text}")


def _compare(
    before: list[ProcessReading],
    after: list[ProcessReading],
    counted_before: list[dict[str, int]],
    counted_after: list[dict[str, int]],
) -> Phase:
    def per_s(name: str) -> list[float]:
        return [
            (getattr(new, name) - getattr(old, name)) / (new.at_s - old.at_s)
            for old, new in zip(before, after, strict=True)
        ]

    def count(name: str) -> list[int]:
        return [
            new[name] - old[name] for old, new in zip(counted_before, counted_after, strict=True)
        ]

    seconds = after[0].at_s - before[0].at_s
    counted = [found / seconds for found in count("bytes_sent")]
    sent, received, cpu = per_s("sent_bytes"), per_s("received_bytes"), per_s("cpu_s")
    rss = [reading.rss_kib / 1_024 for reading in after]
    return Phase(
        seconds=seconds,
        counted_sent=mean(counted),
        counted_sent_most=max(counted),
        kernel_sent=mean(sent),
        kernel_sent_most=max(sent),
        kernel_received=mean(received),
        kernel_received_most=max(received),
        packets_sent=mean(per_s("sent_packets")),
        cpu_percent=100 * mean(cpu),
        cpu_percent_most=100 * max(cpu),
        rss_mb=mean(rss),
        rss_mb_most=max(rss),
        machine_load=os.getloadavg()[0],
        closed=sum(count("connections_closed")),
        by_kind={},
    )


def _describe(name: str, phase: Phase) -> str:
    return (
        f"{name}: {phase.kernel_sent:,.0f} B/s sent per node (most {phase.kernel_sent_most:,.0f}; "
        f"{phase.counted_sent:,.0f} by its own count), {phase.kernel_received:,.0f} received, "
        f"{phase.cpu_percent:.1f} % of a core (most {phase.cpu_percent_most:.1f}), "
        f"{phase.rss_mb:.0f} MB (most {phase.rss_mb_most:.0f}); {phase.closed} connections ended; "
        f"{phase.seconds:.0f} s, machine load {phase.machine_load:.1f}"
    )


def _describe_kinds(phase: Phase) -> str:
    kinds = sorted(phase.by_kind.items(), key=lambda item: -item[1])
    said = ", ".join(f"{kind} {rate:,.1f}" for kind, rate in kinds if rate >= 0.05)
    framed = phase.counted_sent - sum(phase.by_kind.values())
    headers = phase.kernel_sent - phase.counted_sent
    return (
        f"{said}; encryption, frames and handshakes of connections {framed:,.1f}; "
        f"headers of {phase.packets_sent:,.2f} packets/s {headers:,.1f}"
    )


async def campaign(arguments: argparse.Namespace, tell: Tell) -> Report:
    """Run one on a fresh mesh, inside the namespaces of this process."""
    network = HostNetwork(arguments.nodes)
    tell(f"starting {arguments.nodes} nodes on {arguments.nodes} hosts")
    async with open_fleet(network, arguments.nodes, engine=arguments.engine) as fleet:
        run = Campaign(fleet, tell=tell)
        await run.run(
            settle=arguments.settle,
            rate=arguments.rate,
            authors=arguments.authors,
            seconds=arguments.seconds,
            idle_limit=arguments.idle_limit,
        )
    return run.report


def print_report(report: Report, tell: Tell) -> None:
    """The closing table."""
    assert report.idle is not None
    assert report.loaded is not None
    degrees = sorted(report.degrees)
    connections = (
        f"{mean(degrees):.1f} per node ({degrees[0]} to {degrees[-1]}); in one piece at each "
        f"of {report.looks} looks, never fewer than {report.degree_least}"
    )
    load = (
        f"{report.rate:.1f} vertices/s by {report.authors} authors, {report.missed} not said in "
        f"time; promised after p50 {report.wait_p50_s:.2f} s, p90 {report.wait_p90_s:.2f} s"
    )
    stores = (
        f"{report.vertices} vertices, {report.blocks} of them blocks, equal {report.equal_s:.1f} s after the load; "
        f"{report.refused} publications refused"
    )
    minutes = [
        row
        for number, phase in enumerate(report.first, start=1)
        for row in (
            (f"minute {number}", _describe("", phase)[2:]),
            ("  by kind", _describe_kinds(phase)),
        )
    ]
    rows = (
        ("nodes", f"{report.nodes}, joined {report.joined_s:.1f} s after the last start"),
        ("connections", connections),
        *minutes,
        ("idle", _describe("", report.idle)[2:]),
        ("  by kind", _describe_kinds(report.idle)),
        ("load", load),
        ("under load", _describe("", report.loaded)[2:]),
        ("  by kind", _describe_kinds(report.loaded)),
        ("stores", stores),
        ("violations", str(len(report.failures))),
    )
    for name, text in rows:
        tell(f"{name:<14} {text}")
    for failure in report.failures[:20]:
        tell(f"FAILED         {failure}")


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=24)
    parser.add_argument("--rate", type=float, default=20.0, help="vertices per second")
    parser.add_argument("--authors", type=int, default=8, help="who publish them")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each phase")
    parser.add_argument(
        "--settle",
        type=float,
        default=SETTLE_S,
        help="seconds between joining and rest, measured minute by minute",
    )
    parser.add_argument("--engine", default="none", help="of every node: none, or echo to serve")
    parser.add_argument(
        "--idle-limit", type=float, default=IDLE_BYTES_PER_S, help="bytes per second and node"
    )
    parser.add_argument("--json", action="store_true", help="one document in the end")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True, file=sys.stderr if arguments.json else sys.stdout)

    if (obstacle := find_obstacle()) is not None:
        tell(f"this machine allows no network namespaces: {obstacle}")
        return NO_NAMESPACES
    enter_namespaces(MODULE)
    report = asyncio.run(campaign(arguments, tell))
    if arguments.json:
        print(json.dumps(asdict(report), indent=2))
    print_report(report, tell)
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
