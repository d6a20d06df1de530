"""A mesh in which nodes are killed and come back for many minutes: nothing lost, nothing that grows.

    python -m tests.campaigns.soak --minutes 10 --seed 7

Four real validators and four plain members, which forget old history, all of which publish all the
time. Half of them run from the beginning to the end; the others get SIGKILL again and again, at
moments drawn by the seed, one or two at a time, and start again. Of those that stay, memory, open
files, threads and tasks of the event loop are sampled; a straight line through the second half of
the samples tells how they grow. In the end all must hold the same and stand at one commit, every
vertex that anybody acknowledged must be final once, itself or by what its author said in its stead,
commits must have been told by each without a gap and by all alike, and no store may be broken. Of
each vertex that is not to be found it says which and whose it is, when it was acknowledged, how soon
its author was killed after that, and what every node and every journal knows of it. Prints a closing
table, or one JSON document; exit code 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dag.genesis import Parameters
from meshnode.client import RemoteNode
from meshnode.errors import MeshError
from tests.support.committee import Place
from tests.support.daemons import percentile, verify_store
from tests.support.guests import Guest, wait_equal
from tests.support.process_readings import read_process
from tests.support.promises import Promise, Promises
from tests.support.scraping import scrape
from tests.support.trends import Trend, fit_trend
from tests.support.validators import Validator, ValidatorMesh, open_validators
from tests.support.whereabouts import ask_about, look_in_journal, read_words

GUESTS = 4
COMMITS_KEPT = 200
"""After so many commits payload is old, and a checkpoint is made: what is older may be forgotten."""
SAMPLE_EVERY_S = 5.0
ALIVE_S = 4.0
"""All run at most this long between two rounds of kills."""
DEAD_S = 4.0
PAIR_SHARE = 0.3
"""Rounds in which two are killed."""
EQUAL_S = 180.0
FINAL_S = 60.0
POLL_S = 0.2
SLOPE_MB_PER_MIN = 2.0
JUDGED_MIN = 8.0
"""Of shorter runs the second half still belongs to the growth after a start, which ends."""

Tell = Callable[[str], None]


@dataclass
class Stayer:
    """A node that runs from the beginning to the end."""

    name: str
    pid: int
    home: Path
    samples: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Minutes since the beginning, and what was found."""

    async def sample(self, minutes: float) -> None:
        """Look at the process from outside, and at what it says of itself."""
        reading = read_process(self.pid)
        told = await scrape(self.home)
        found = {
            "rss_mb": reading.rss_kib / 1_024,
            "files": float(reading.files),
            "threads": float(reading.threads),
            "tasks": told["meshnode_event_loop_tasks"],
            "vertices": told["meshnode_vertices"],
        }
        self.samples.append((minutes, found))

    def fit(self, name: str) -> Trend:
        """How a figure grew in the second half, per minute."""
        later = self.samples[len(self.samples) // 2 :]
        return fit_trend([(minutes, found[name]) for minutes, found in later])


@dataclass
class Growth:
    """How one node's figures moved in the second half."""

    name: str
    rss_mb: tuple[float, float]
    """At half-time, and in the end."""
    rss_slope: float
    """MB per minute."""
    rss_error: float
    vertices_slope: float
    """Vertices held, per minute: what is held takes memory."""
    files: tuple[int, int]
    """The least and the most."""
    threads: tuple[int, int]
    tasks: tuple[int, int]
    vertices: tuple[int, int]
    """At half-time, and in the end."""


@dataclass
class Report:
    """What a campaign showed."""

    minutes: float = 0.0
    kills: int = 0
    starts_s: list[float] = field(default_factory=list)
    acknowledged: int = 0
    refused: int = 0
    """Publications that nobody promised to keep: the node was full, or being killed."""
    repeated: int = 0
    """Vertices that came too late for the order: their authors said the same again, which is final."""
    untraced: list[str] = field(default_factory=list)
    """Acknowledged vertices of which nothing is final, and all that is known of each."""
    commits: int = 0
    equal_s: float = 0.0
    growth: list[Growth] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh, those that stay and those that go."""

    def __init__(
        self,
        mesh: ValidatorMesh,
        guests: list[Guest],
        *,
        seed: int,
        every_s: float,
        keep: Path | None,
        tell: Tell,
    ) -> None:
        """`keep`: where the homes of all nodes go if a vertex is not traced."""
        self._mesh = mesh
        self._guests = guests
        self._random = random.Random(seed)
        self._every_s = every_s
        self._keep = keep
        self._tell = tell
        self._began_s = time.monotonic()
        self._promises = Promises(began_s=self._began_s)
        self._away: dict[str, None] = {}
        self._mortals: list[Validator | Guest] = [*mesh.validators[-1:], *guests[GUESTS // 2 :]]
        self._stayers: list[Stayer] = []
        self.report = Report()

    async def run(self, minutes: float) -> None:
        """Load, kill, sample; then compare."""
        began_s = self._began_s
        self._stayers = [
            *(
                Stayer(each.name, each.running.spawned.pid, each.seat.home.path)
                for each in self._mesh.validators
                if each not in self._mortals
            ),
            *(
                Stayer(each.name, each.remote.pid, each.home)
                for each in self._guests
                if each not in self._mortals
            ),
        ]
        tasks = [
            asyncio.create_task(self._sample(began_s)),
            *(asyncio.create_task(self._publish(each)) for each in self._list_members()),
        ]
        try:
            while time.monotonic() - began_s < minutes * 60:
                await self._round(began_s)
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            self.report.minutes = (time.monotonic() - began_s) / 60
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._finish()

    def _list_members(self) -> list[Validator | Guest]:
        return [*self._mesh.validators, *self._guests]

    async def _publish(self, member: Validator | Guest) -> None:
        number = 0
        while True:
            await asyncio.sleep(self._every_s)
            if member.name in self._away:
                continue
            # A number is never used again, also where nobody promised anything: words tell which
            # vertex says another again.
            number += 1
            submitted_s = time.monotonic()
            try:
                info = await _get_remote(member).publish(f"{member.name} {number} {'.' * 64}")
            except MeshError:
                self.report.refused += 1
                continue
            self._promises.keep(
                member.name, info, submitted_s=submitted_s, acknowledged_s=time.monotonic()
            )

    async def _sample(self, began_s: float) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            minutes = (time.monotonic() - began_s) / 60
            await asyncio.gather(*(each.sample(minutes) for each in self._stayers))
            self.report.loads.append(os.getloadavg()[0])

    async def _round(self, began_s: float) -> None:
        await asyncio.sleep(self._random.uniform(0, ALIVE_S))
        victims = self._random.sample(self._mortals, 2 if self._random.random() < PAIR_SHARE else 1)
        waits_s = [self._random.uniform(0, DEAD_S) for _ in victims]
        await asyncio.gather(*map(self._kill_and_start, victims, waits_s))
        if self.report.kills % 10 < len(victims):
            order = (await self._mesh.validators[0].status()).consensus
            assert order is not None
            memory = ", ".join(
                f"{each.samples[-1][1]['rss_mb']:.0f}" for each in self._stayers if each.samples
            )
            self._tell(
                f"  {(time.monotonic() - began_s) / 60:4.1f} min: {self.report.kills} kills, "
                f"commit {order.commit_index}, those that stay use {memory} MB"
            )

    async def _kill_and_start(self, victim: Validator | Guest, dead_s: float) -> None:
        self.report.kills += 1
        self._away[victim.name] = None
        self._promises.note_kill(victim.name, time.monotonic())
        await (victim.kill() if isinstance(victim, Guest) else self._mesh.kill(victim))
        await asyncio.sleep(dead_s)
        began_s = time.monotonic()
        if isinstance(victim, Guest):
            await victim.start("", prune=True)
        else:
            await self._mesh.start(victim)
        self.report.starts_s.append(time.monotonic() - began_s)
        self._promises.note_start(victim.name, time.monotonic())
        del self._away[victim.name]

    # --- the end ------------------------------------------------------------------------------

    async def _finish(self) -> None:
        mesh, report = self._mesh, self.report
        remotes = [_get_remote(member) for member in self._list_members()]
        try:
            report.equal_s = await wait_equal(remotes, timeout_s=EQUAL_S)
        except TimeoutError:
            orders = [(await remote.status()).consensus for remote in remotes]
            self._fail(f"not equal {EQUAL_S:.0f} s later: {orders}")
        report.acknowledged, report.commits = len(self._promises), mesh.book.height
        untraced = await self._check_promises(remotes)
        for remote in remotes:
            if (await remote.status()).forks:
                self._fail("somebody saw a fork")
        for problem in mesh.book.failures:
            self._fail(problem)
        self._measure()
        await mesh.crew.stop()
        homes = [_get_home(member) for member in self._list_members()]
        for promise, text in untraced.items():
            stored = [f"{home.name} {look_in_journal(home, promise.vertex)}" for home in homes]
            report.untraced.append(f"{text}; in the journals: {', '.join(stored)}")
            self._tell(f"UNTRACED {report.untraced[-1]}")
        if untraced and self._keep is not None:
            await asyncio.to_thread(shutil.copytree, mesh.crew.folder, self._keep)
            self._tell(f"the homes of all nodes are kept in {self._keep}")
        for home in homes:
            if found := await asyncio.to_thread(verify_store, home):
                self._fail(f"dag verify of {home.name}: {found}")

    async def _check_promises(self, remotes: list[RemoteNode]) -> dict[Promise, str]:
        """Everything has its place, itself or what its author said again in its stead, once."""
        due_s, book = time.monotonic() + FINAL_S, self._mesh.book
        for index in range(1, book.height + 1):
            if index not in book.commits:
                self._fail(f"nobody told commit {index}, so what it holds is not known here")
        for text in self._promises.ambiguous:
            self._fail(text)
        while True:
            # Readers that were too slow for a node's events have missed some words, so what is
            # held is asked for.
            trace = self._promises.trace(book.finals, book.said)
            if not trace.untraced or time.monotonic() > due_s:
                break
            for author in dict.fromkeys(each.author for each in trace.untraced):
                book.said |= await read_words(author, remotes)
            await asyncio.sleep(POLL_S)
        self.report.repeated = len(trace.repeated)
        for promise, found in trace.doubled:
            self._fail(f"final {len(found)} times: {promise.vertex} as {', '.join(found)}")
        if trace.untraced:
            total = len(self._promises)
            self._fail(f"{len(trace.untraced)} of {total} acknowledged vertices are not final")
        return {
            promise: f"{self._promises.describe(promise, book.finals)}; "
            f"asked: {await ask_about(promise.vertex, remotes)}"
            for promise in trace.untraced
        }

    def _measure(self) -> None:
        for each in self._stayers:
            later = [found for _, found in each.samples[len(each.samples) // 2 :]]
            trend = each.fit("rss_mb")
            spans = {
                name: (min(int(found[name]) for found in later), max(int(f[name]) for f in later))
                for name in ("files", "threads", "tasks")
            }
            self.report.growth.append(
                Growth(
                    each.name,
                    (later[0]["rss_mb"], later[-1]["rss_mb"]),
                    trend.slope,
                    trend.error,
                    each.fit("vertices").slope,
                    spans["files"],
                    spans["threads"],
                    spans["tasks"],
                    (int(later[0]["vertices"]), int(later[-1]["vertices"])),
                )
            )

    def judge_slopes(self, limit: float) -> None:
        """Fail where memory of a node grew faster, beyond doubt."""
        for each in self._stayers:
            if (trend := each.fit("rss_mb")).exceeds(limit):
                self._fail(
                    f"memory of {each.name} grows by {trend.slope:.2f} +- {trend.error:.2f} MB/min"
                )

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"FAILED {text}")


def _get_remote(member: Validator | Guest) -> RemoteNode:
    return member.remote if isinstance(member, Guest) else member.running.remote


def _get_home(member: Validator | Guest) -> Path:
    return member.home if isinstance(member, Guest) else member.seat.home.path


@asynccontextmanager
async def _open_mesh(kept: int) -> AsyncIterator[tuple[ValidatorMesh, list[Guest]]]:
    parameters = Parameters(gc_commits=kept, checkpoint_commits=kept)
    async with open_validators((Place(),) * 4, parameters=parameters, prunes=True) as mesh:
        ticket = await mesh.validators[0].running.remote.invite(uses=GUESTS)
        guests = [Guest(mesh.crew, mesh.book, f"guest-{number}") for number in range(GUESTS)]
        try:
            for guest in guests:
                await guest.start(ticket, prune=True)
            yield mesh, guests
        finally:
            for guest in guests:
                with suppress(AssertionError):
                    await guest.close()


async def campaign(arguments: argparse.Namespace, tell: Tell) -> Report:
    """Run one on a fresh mesh."""
    async with _open_mesh(arguments.kept) as (mesh, guests):
        tell(
            f"{len(mesh.validators)} validators and {len(guests)} members, "
            f"{arguments.minutes:g} minutes, seed {arguments.seed}"
        )
        run = Campaign(
            mesh,
            guests,
            seed=arguments.seed,
            every_s=(len(mesh.validators) + len(guests)) / arguments.rate,
            keep=arguments.keep,
            tell=tell,
        )
        await run.run(arguments.minutes)
        if arguments.minutes >= JUDGED_MIN:
            run.judge_slopes(arguments.slope_limit)
    return run.report


def print_report(report: Report, tell: Tell) -> None:
    """The closing table."""
    tell(f"{'time':<14} {report.minutes:.1f} min, {report.kills} kills")
    tell(
        f"{'start':<14} p50 {percentile(report.starts_s, 0.5):.1f} s, "
        f"most {max(report.starts_s):.1f} s"
    )
    tell(
        f"{'acknowledged':<14} {report.acknowledged} vertices, all in {report.commits} commits; "
        f"{report.repeated} said again, {len(report.untraced)} not traced, {report.refused} refused"
    )
    tell(f"{'equal':<14} {report.equal_s:.1f} s after the load")
    for each in report.growth:
        tell(
            f"{each.name:<14} {each.rss_mb[0]:.1f} -> {each.rss_mb[1]:.1f} MB, "
            f"{each.rss_slope:+.2f} +- {each.rss_error:.2f} MB/min; files {_span(each.files)}, "
            f"threads {_span(each.threads)}, tasks {_span(each.tasks)}; "
            f"holds {each.vertices[0]} -> {each.vertices[1]} vertices ({_cost(each)})"
        )
    tell(
        f"{'machine':<14} load p50 {percentile(report.loads, 0.5):.1f}, "
        f"most {max(report.loads):.1f}, {os.cpu_count()} cores"
    )
    tell(f"{'violations':<14} {len(report.failures)}")
    for failure in report.failures[:20]:
        tell(f"FAILED         {failure}")


def _cost(growth: Growth) -> str:
    """What a further vertex took of memory."""
    if growth.vertices_slope <= 0:
        return "no more than before"
    return f"{1_024 * growth.rss_slope / growth.vertices_slope:.1f} KB for each more"


def _span(pair: tuple[int, int]) -> str:
    return f"{pair[0]}-{pair[1]}"


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=8.0, help="vertices per second of all")
    parser.add_argument(
        "--kept", type=int, default=COMMITS_KEPT, help="commits after which payload is old"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--slope-limit", type=float, default=SLOPE_MB_PER_MIN, help="MB per minute and node"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder for the nodes' homes if a vertex is not traced"
    )
    parser.add_argument("--json", action="store_true", help="one document in the end")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True, file=sys.stderr if arguments.json else sys.stdout)

    report = asyncio.run(campaign(arguments, tell))
    if arguments.json:
        print(json.dumps(asdict(report), indent=2))
    print_report(report, tell)
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
