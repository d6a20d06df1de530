"""Two members behind routers meet at a relay, and get past it where their routers allow.

    python -m tests.campaigns.holepunch

Real nodes on hosts of their own (network namespaces), behind routers that are this machine's kernel:
address translation that keeps ports, moves them, or draws one for each connection, and lets nothing
in that was not called. For each pair of routers a fresh mesh: both members join through the relay,
publish all the time, and try for a direct connection. Where both routers map a port steadily, it must
come, seen in the kernel's table of connections; where one does not, both must say so and stay
connected through the relay. Everything published must arrive at the other side. Prints a line for
each pair; exit code 1 when anything was not as it must be, 77 where this machine has no namespaces or
no address translation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from meshnode.demo.processes import DemoNode, open_crew
from tests.support.nat_net import NatNetwork, find_nat_obstacle
from tests.support.netfilter import Nat
from tests.support.netns import enter_namespaces, find_obstacle, prepare_namespaces
from tests.support.process_readings import list_connections

MODULE = "tests.campaigns.holepunch"
PAIRS = (
    (Nat.KEPT, Nat.KEPT),
    (Nat.MOVED, Nat.KEPT),
    (Nat.MOVED, Nat.MOVED),
    (Nat.SYMMETRIC, Nat.KEPT),
    (Nat.SYMMETRIC, Nat.SYMMETRIC),
)
WAIT_S = 120.0
POLL_S = 0.1
SAY_S = 0.25
NO_NAMESPACES = 77
"""Exit code: test harnesses know it as 'skipped'."""

Tell = Callable[[str], None]


@dataclass
class Meeting:
    """What came of two members behind such routers."""

    routers: tuple[str, str]
    direct: bool
    upgrade_s: float
    """From the first connection until it was direct, or until both had given up for now."""
    published: int
    """By both, over the change from the relayed to the direct connection."""
    told: str
    """By the one who has tried."""


@dataclass
class Report:
    """What a campaign showed."""

    meetings: list[Meeting] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Scene:
    """A relay and two members behind routers."""

    def __init__(self, members: Sequence[DemoNode], publics: Sequence[str]) -> None:
        self.members = members
        self._publics = publics
        self._said: list[list[str]] = [[], []]

    async def is_linked(self) -> bool:
        """Whether each has the other for a peer."""
        one, other = self.members
        authors = [(await node.remote.status()).author for node in (other, one)]
        lists = [await node.remote.peers() for node in (one, other)]
        return all(
            any(peer.author == author and peer.ready for peer in peers)
            for author, peers in zip(authors, lists, strict=True)
        )

    def is_direct(self) -> bool:
        """Whether the kernel has a connection between the two, from either one's view."""
        return all(
            any(host == public for host, _ in list_connections(node.spawned.pid))
            for node, public in zip(self.members, reversed(self._publics), strict=True)
        )

    async def has_given_up(self) -> bool:
        """Whether an attempt of both to dial each other has failed."""
        statuses = [await node.remote.status() for node in self.members]
        return any(status.counters["punches_failed"] for status in statuses)

    async def read_told(self) -> str:
        """What doctor shows of it, at the side that has begun."""
        lines = [
            way.detail
            for node in self.members
            for way in (await node.remote.status()).ways
            if way.name == "direct"
        ]
        return " | ".join(lines)

    async def say(self) -> None:
        """Publish at both, until cancelled."""
        while True:
            for node, said in zip(self.members, self._said, strict=True):
                said.append((await node.remote.publish(f"number {len(said)}")).id)
            await asyncio.sleep(SAY_S)

    @property
    def published(self) -> int:
        """How many promises were given."""
        return sum(map(len, self._said))

    async def is_equal(self) -> bool:
        """Whether each holds what the other has published."""
        for node, said in zip(reversed(self.members), self._said, strict=True):
            held = {vertex.id for vertex in await node.remote.vertices(limit=1_000)}
            if not held.issuperset(said):
                return False
        return True


async def meet(routers: tuple[Nat, Nat], report: Report) -> Meeting:
    """One mesh of three, from its founding to its end."""
    network = await asyncio.to_thread(NatNetwork, routers)
    try:
        with tempfile.TemporaryDirectory(prefix="meshnode-punch-") as folder:
            async with open_crew(Path(folder) / "homes") as crew:
                flags = {
                    **network.relay.flags,
                    "serve_relay": True,
                    "serve_rendezvous": True,
                    "network_name": "campaign",
                }
                relay = await network.run_on(network.relay, lambda: crew.start("relay", flags))
                ticket = await relay.remote.invite(uses=2)
                members = [
                    await network.run_on(
                        host,
                        lambda host=host: crew.start(host.name, host.flags, ticket=ticket),  # type: ignore[misc]
                    )
                    for host in network.hidden
                ]
                scene = Scene(members, [host.public for host in network.hidden])
                return await _watch(scene, routers, report)
    finally:
        network.close()


async def _watch(scene: Scene, routers: tuple[Nat, Nat], report: Report) -> Meeting:
    async def is_direct() -> bool:
        return scene.is_direct()

    expected = Nat.SYMMETRIC not in routers
    await _until(scene.is_linked)
    began_s = time.monotonic()
    saying = asyncio.create_task(scene.say())
    try:
        await _until(is_direct if expected else scene.has_given_up)
        upgrade_s = time.monotonic() - began_s
    finally:
        await asyncio.sleep(4 * SAY_S)  # some more, over what stands now
        saying.cancel()
        await asyncio.wait([saying])
    direct = scene.is_direct()
    if direct is not expected:
        report.failures.append(f"{_name(routers)}: {'direct' if direct else 'relayed'} in the end")
    await _until(scene.is_linked)
    await _until(scene.is_equal)
    return Meeting(
        (routers[0].value, routers[1].value),
        direct,
        upgrade_s,
        scene.published,
        await scene.read_told(),
    )


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - the state of other processes
            await asyncio.sleep(POLL_S)


def _name(routers: tuple[Nat, Nat]) -> str:
    return f"one {routers[0].value}, the other {routers[1].value}"


async def campaign(pairs: Sequence[tuple[Nat, Nat]], tell: Tell) -> Report:
    """Run one inside the namespaces of this process."""
    prepare_namespaces()
    report = Report()
    for routers in pairs:
        try:
            meeting = await meet(routers, report)
        except TimeoutError:
            report.failures.append(f"{_name(routers)}: not so within {WAIT_S:g} s")
            continue
        report.meetings.append(meeting)
        result = "direct" if meeting.direct else "stays on the relay"
        tell(
            f"{_name(routers)}: {result} after {meeting.upgrade_s:.1f} s, {meeting.published} "
            f"published meanwhile and all of it on both sides; it says: {meeting.told}"
        )
    return report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="only the first so many")
    parser.add_argument("--json", action="store_true", help="one document in the end")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True, file=sys.stderr if arguments.json else sys.stdout)

    if (obstacle := find_obstacle() or find_nat_obstacle()) is not None:
        tell(f"this machine allows no hosts behind routers: {obstacle}")
        return NO_NAMESPACES
    enter_namespaces(MODULE)
    report = asyncio.run(campaign(PAIRS[: arguments.pairs], tell))
    if arguments.json:
        print(json.dumps(asdict(report), indent=2))
    for failure in report.failures:
        tell(f"FAILED {failure}")
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
