"""A mesh whose links lose packets, and whose hosts are unplugged: nothing it acknowledged is lost.

    python -m tests.campaigns.lossy --loss 0.02 0.1 0.25 --seconds 40

Real nodes, each on a host of its own (a network namespace), all of which publish all the time. The
kernel drops packets between the hosts by chance, a greater share in each phase, with connections as
they are: TCP repeats what was lost, stalls, and gives up where too much is. In a last phase hosts
are unplugged besides, one at a time, for longer than TCP waits, so that their connections end half
open. After each phase stores must become equal while packets still get lost; in the end no store may
lack a vertex that anybody acknowledged, and `meshnode dag verify` finds nothing wrong. Prints a line
for each phase; exit code 1 when anything was not as it must be, 77 where this machine lets nobody
have namespaces, or its kernel no packets dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from tests.support.daemons import verify_store
from tests.support.fleet import Fleet, open_fleet
from tests.support.netns import HostNetwork, enter_namespaces, find_loss_obstacle, find_obstacle

MODULE = "tests.campaigns.lossy"
NODES = 8
JOIN_S = 180.0
EQUAL_S = 120.0
UNPLUGGED_S = (4.0, 16.0)
"""A host is away so long: shorter and longer than TCP waits for an acknowledgement (10 s)."""
PLUGGED_S = 4.0
NO_NAMESPACES = 77
"""Exit code: test harnesses know it as 'skipped'."""

Tell = Callable[[str], None]


@dataclass
class Phase:
    """Some seconds on links of one kind."""

    loss: float
    """Share of packets that are dropped."""
    unplugged: int
    """Times that a host had no link."""
    seconds: float
    published: int
    refused: int
    dropped: int
    """Packets, by the kernel."""
    resent: int
    """TCP segments."""
    closed: int
    """Connections that ended."""
    equal_s: float
    """From the end of the load until all stores were equal, with packets still lost."""
    machine_load: float


@dataclass
class Report:
    """What a campaign showed."""

    nodes: int
    phases: list[Phase] = field(default_factory=list)
    acknowledged: int = 0
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh and its links."""

    def __init__(self, fleet: Fleet, network: HostNetwork, *, seed: int, tell: Tell) -> None:
        self._fleet = fleet
        self._network = network
        self._random = random.Random(seed)
        self._tell = tell
        self.report = Report(len(fleet.members))

    async def run(
        self, losses: Sequence[float], *, rate: float, seconds: float, plugged: bool
    ) -> None:
        """Each loss in turn, then hosts that go away, then the end."""
        await self._fleet.wait_joined(timeout_s=JOIN_S)
        for loss in losses:
            await self._measure(loss, rate=rate, seconds=seconds, unplugs=False)
        if not plugged:
            await self._measure(losses[0], rate=rate, seconds=seconds, unplugs=True)
        await self._finish()

    async def _measure(self, loss: float, *, rate: float, seconds: float, unplugs: bool) -> None:
        fleet, network = self._fleet, self._network
        network.lose(loss)
        before, counted = fleet.read(), await fleet.read_counters()
        dropped, (published, refused) = network.count_lost(), self._count()
        load = fleet.start_load(per_s=rate, authors=len(fleet.members))
        unplugged = await (self._unplug(seconds) if unplugs else _wait(seconds))
        await load.stop()
        try:
            equal_s = await fleet.wait_equal(timeout_s=EQUAL_S)
        except TimeoutError:
            equal_s = float("inf")
            self._fail(f"loss {loss:.0%}: {await fleet.count_stores()} different stores in the end")
        after, counted_after = fleet.read(), await fleet.read_counters()
        phase = Phase(
            loss=loss,
            unplugged=unplugged,
            seconds=seconds,
            published=self._count()[0] - published,
            refused=self._count()[1] - refused,
            dropped=network.count_lost() - dropped,
            resent=sum(new.resent - old.resent for new, old in zip(after, before, strict=True)),
            closed=sum(
                new["connections_closed"] - old["connections_closed"]
                for new, old in zip(counted_after, counted, strict=True)
            ),
            equal_s=equal_s,
            machine_load=os.getloadavg()[0],
        )
        if not phase.dropped or not phase.published:
            self._fail(f"loss {loss:.0%}: {phase.published} published, {phase.dropped} dropped")
        self.report.phases.append(phase)
        self._tell(_describe(phase))

    async def _unplug(self, seconds: float) -> int:
        """Take one host after another off the switch; answers how often."""
        end_s, hosts, times = time.monotonic() + seconds, range(len(self._fleet.members)), 0
        while time.monotonic() < end_s:
            away = self._random.choice(hosts)
            self._network.cut([[away], [host for host in hosts if host != away]])
            await asyncio.sleep(self._random.uniform(*UNPLUGGED_S))
            self._network.heal()
            await asyncio.sleep(PLUGGED_S)
            times += 1
        return times

    def _count(self) -> tuple[int, int]:
        members = self._fleet.members
        return sum(len(each.acknowledged) for each in members), sum(
            each.refused for each in members
        )

    async def _finish(self) -> None:
        fleet = self._fleet
        self.report.acknowledged = self._count()[0]
        for member in fleet.members:
            if (await member.node.remote.status()).forks:
                self._fail(f"{member.name} saw a fork")
        for line in await fleet.find_lost():
            self._fail(line)
        for member in fleet.members:
            if problem := await asyncio.to_thread(verify_store, member.node.home):
                self._fail(f"dag verify of {member.name}: {problem}")

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"FAILED {text}")


async def _wait(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return 0


def _describe(phase: Phase) -> str:
    unplugged = f", hosts unplugged {phase.unplugged} times" if phase.unplugged else ""
    return (
        f"loss {phase.loss:.0%}{unplugged}, {phase.seconds:.0f} s: {phase.published} published "
        f"({phase.refused} refused), {phase.dropped} packets dropped, {phase.resent} sent again, "
        f"{phase.closed} connections ended; equal {phase.equal_s:.1f} s after the load, "
        f"machine load {phase.machine_load:.1f}"
    )


async def campaign(arguments: argparse.Namespace, tell: Tell) -> Report:
    """Run one on a fresh mesh, inside the namespaces of this process."""
    network = HostNetwork(arguments.nodes)
    tell(f"starting {arguments.nodes} nodes on {arguments.nodes} hosts, seed {arguments.seed}")
    async with open_fleet(network, arguments.nodes, engine="none") as fleet:
        run = Campaign(fleet, network, seed=arguments.seed, tell=tell)
        await run.run(
            arguments.loss,
            rate=arguments.rate,
            seconds=arguments.seconds,
            plugged=arguments.plugged,
        )
    return run.report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument(
        "--loss", type=float, nargs="+", default=[0.02, 0.1, 0.25], help="shares of packets"
    )
    parser.add_argument("--rate", type=float, default=8.0, help="vertices per second")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each phase")
    parser.add_argument("--plugged", action="store_true", help="leave out the last phase")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one document in the end")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True, file=sys.stderr if arguments.json else sys.stdout)

    if (obstacle := find_obstacle() or find_loss_obstacle()) is not None:
        tell(f"this machine allows no hosts with lossy links: {obstacle}")
        return NO_NAMESPACES
    enter_namespaces(MODULE)
    report = asyncio.run(campaign(arguments, tell))
    if arguments.json:
        print(json.dumps(asdict(report), indent=2))
    tell(f"{report.acknowledged} vertices acknowledged, {len(report.failures)} violations")
    for failure in report.failures:
        tell(f"FAILED {failure}")
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
