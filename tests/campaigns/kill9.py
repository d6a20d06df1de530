"""Power cuts: real nodes under load are killed again and again, and must lose and forge nothing.

    python -m tests.campaigns.kill9 --kills 100 --seed 7

A mesh of real daemons in which everybody publishes all the time. One of them, chosen at random,
gets SIGKILL at a random moment, now and then while it still starts. Its journal is looked at as the
kill left it: every vertex it acknowledged to a client, and every vertex of its own that any peer
has, must be there. Then it starts again, publishing pauses, and all must have equal heads within
five seconds. At the end all stores are compared and re-checked by `meshnode dag verify`. Prints a
closing table; exit code 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from meshnode.demo.processes import Crew, DemoNode
from meshnode.errors import MeshError
from tests.support.daemons import (
    FLAGS,
    find_daemons,
    kill,
    open_daemons,
    percentile,
    verify_store,
    wait_connected,
    wait_equal_heads,
)
from tests.support.stored_order import Places, list_ids, read_stored

NODES = 4
PUBLISH_EVERY_S = 0.1
ALIVE_S = 2.0
"""A node lives at most this long between being back and the next kill."""
STARTING_SHARE = 0.15
"""Kills that hit a node which has not finished its start."""
START_S = 4.0
HEADS_WITHIN_S = 5.0

Tell = Callable[[str], None]


@dataclass
class Report:
    """What a campaign showed."""

    kills: int = 0
    kills_at_start: int = 0
    acknowledged: int = 0
    vertices: int = 0
    ready_s: list[float] = field(default_factory=list)
    heads_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh and what it has promised."""

    def __init__(
        self, crew: Crew, nodes: list[DemoNode], *, seed: int, heads_within_s: float, tell: Tell
    ) -> None:
        self._crew = crew
        self._nodes = nodes
        self._random = random.Random(seed)
        self._heads_within_s = heads_within_s
        self._tell = tell
        self._acknowledged: dict[str, dict[str, None]] = {node.name: {} for node in nodes}
        self._authors: dict[str, str] = {}
        self._publishing = asyncio.Event()
        self.report = Report()

    async def run(self, kills: int) -> None:
        """Kill, look, start again, compare."""
        for node in self._nodes:
            self._authors[node.name] = (await node.remote.status()).author
        publishers = [
            asyncio.create_task(self._publish(index)) for index in range(len(self._nodes))
        ]
        try:
            while self.report.kills < kills:
                await self._round()
        finally:
            for task in publishers:
                task.cancel()
            await asyncio.gather(*publishers, return_exceptions=True)
        await self._finish()

    async def _publish(self, index: int) -> None:
        number = 0
        while True:
            await self._publishing.wait()
            node, number = self._nodes[index], number + 1
            with suppress(MeshError):  # killed, or not yet back
                info = await node.remote.publish(f"{node.name} {number}")
                self._acknowledged[node.name][info.id] = None
            await asyncio.sleep(PUBLISH_EVERY_S)

    async def _round(self) -> None:
        self._publishing.set()
        await asyncio.sleep(self._random.uniform(0, ALIVE_S))
        index = self._random.randrange(len(self._nodes))
        victim = self._nodes[index]
        await asyncio.to_thread(kill, victim)
        self.report.kills += 1
        await victim.remote.close()
        await self._look(victim)
        if self._random.random() < STARTING_SHARE:
            await self._kill_at_start(victim)
            await self._look(victim)
        began_s = time.monotonic()
        self._nodes[index] = await self._crew.start(victim.name, self._flags(victim))
        self.report.ready_s.append(time.monotonic() - began_s)
        self._publishing.clear()
        await self._compare()
        self._tell(
            f"  {self.report.kills:>3} {victim.name} back in {self.report.ready_s[-1]:.1f} s, "
            f"equal heads after {self.report.heads_s[-1]:.2f} s"
        )

    @staticmethod
    def _flags(node: DemoNode) -> dict[str, object]:
        return {**FLAGS, "engine": "none", "name": node.name}

    async def _kill_at_start(self, victim: DemoNode) -> None:
        starting = asyncio.create_task(self._crew.start(victim.name, self._flags(victim)))
        await asyncio.wait([starting], timeout=self._random.uniform(0, START_S))
        for pid in find_daemons(victim.home):
            os.kill(pid, signal.SIGKILL)
        self.report.kills += 1
        self.report.kills_at_start += 1
        with suppress(MeshError):
            await (await starting).remote.close()

    async def _look(self, victim: DemoNode) -> None:
        """What the kill left behind."""
        held = list_ids(await asyncio.to_thread(read_stored, victim.home))
        self._must_hold(victim, held, self._acknowledged[victim.name], "acknowledged")
        for node in self._nodes:
            if node.name == victim.name:
                continue
            known = await node.remote.vertices(limit=1_000, author=self._authors[victim.name])
            self._must_hold(victim, held, {info.id: None for info in known}, f"on {node.name}")

    def _must_hold(
        self, victim: DemoNode, held: dict[str, None], ids: dict[str, None], what: str
    ) -> None:
        lost = [vertex for vertex in ids if vertex not in held]
        if lost:
            self.report.failures.append(
                f"kill {self.report.kills}: {victim.name} lost {len(lost)} vertices {what}"
            )

    async def _compare(self) -> None:
        remotes = [node.remote for node in self._nodes]
        try:
            seconds = await wait_equal_heads(remotes)
        except TimeoutError:
            seconds = float("inf")
        self.report.heads_s.append(seconds)
        if seconds > self._heads_within_s:
            self.report.failures.append(f"kill {self.report.kills}: heads after {seconds:.1f} s")
        for node in self._nodes:
            if (await node.remote.status()).forks:
                self.report.failures.append(f"kill {self.report.kills}: {node.name} saw a fork")

    # --- the end -----------------------------------------------------------------------------

    async def _finish(self) -> None:
        await wait_connected(self._nodes)
        await wait_equal_heads([node.remote for node in self._nodes])
        await self._crew.stop()
        places = Places()
        promised = {vertex for ids in self._acknowledged.values() for vertex in ids}
        self.report.acknowledged = len(promised)
        for node in self._nodes:
            stored = await asyncio.to_thread(read_stored, node.home)
            self.report.vertices = len(stored.vertices)
            if promised - set(list_ids(stored)):
                self.report.failures.append(f"{node.name} lacks acknowledged vertices at the end")
            for twin in places.fill(stored):
                self.report.failures.append(f"{node.name} holds two vertices of {twin}")
            await asyncio.to_thread(self._verify, node)

    def _verify(self, node: DemoNode) -> None:
        problem = verify_store(node.home)
        self._tell(f"  {node.name}: dag verify finds {problem or 'nothing wrong'}")
        if problem is not None:
            self.report.failures.append(f"dag verify of {node.name}: {problem}")


async def campaign(
    *, kills: int, nodes: int, seed: int, heads_within_s: float, tell: Tell
) -> Report:
    """Run one on a fresh mesh."""
    async with open_daemons(*["none"] * nodes) as (crew, daemons):
        tell(f"{nodes} nodes, {kills} kills")
        run = Campaign(crew, daemons, seed=seed, heads_within_s=heads_within_s, tell=tell)
        await run.run(kills)
    return run.report


def print_report(report: Report, tell: Tell) -> None:
    """The closing table."""
    rows = (
        ("kills", f"{report.kills}, {report.kills_at_start} of them during a start"),
        ("acknowledged", f"{report.acknowledged} vertices"),
        ("stored", f"{report.vertices} vertices on every node"),
        ("start", _describe(report.ready_s)),
        ("equal heads", _describe(report.heads_s)),
    )
    for name, text in rows:
        tell(f"{name:<14} {text}")
    for failure in report.failures[:20]:
        tell(f"FAILED         {failure}")


def _describe(values: list[float]) -> str:
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, most {max(values):.2f} s"


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--heads-within", type=float, default=HEADS_WITHIN_S, help="seconds")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    run = campaign(
        kills=arguments.kills,
        nodes=arguments.nodes,
        seed=arguments.seed,
        heads_within_s=arguments.heads_within,
        tell=tell,
    )
    report = asyncio.run(run)
    print_report(report, tell)
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
