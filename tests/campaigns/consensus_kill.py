"""Validators that are killed under load: one order, nothing lost, and soon back in it.

    python -m tests.campaigns.consensus_kill --kills 50 --seed 7

Four real validators, each of which publishes all the time. One of them, drawn by the seed, gets
SIGKILL at a drawn moment; now and then another one right after it, or all four at once; each starts
again after a drawn delay, now and then from an old copy of its store. Its journal, as the kill left
it, must hold all it has acknowledged. After the start it must soon tell commits again that are as
high as those of the others. Everything all of them ever told is compared, and in the end every
store is folded anew: one order, every acknowledged vertex in it once, every commit told once, no
place filled twice. Prints a closing table; exit code 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.errors import MeshError
from tests.support.daemons import percentile
from tests.support.order_judge import Judgement, judge, look_after_kill
from tests.support.stored_order import copy_store, put_back_store
from tests.support.validators import Validator, ValidatorMesh, open_validators

PUBLISH_EVERY_S = 0.2
ALIVE_S = 2.0
"""All run at most this long between two rounds of kills."""
DEAD_S = 3.0
SECOND_SHARE = 0.2
"""Rounds in which another validator is killed while the first is away or just back."""
ALL_SHARE = 0.06
"""Rounds in which all are killed at once."""
STARTING_SHARE = 0.15
"""Kills after which the next start is killed too."""
START_S = 3.0
OLD_COPY_SHARE = 0.15
"""Kills after which the store is replaced by what it was at an earlier kill."""
BACK_WITHIN_S = 5.0
GIVE_UP_S = 90.0
WATCH_S = 0.05

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """One kill and what follows it."""

    victim: Validator
    wait_s: float
    dead_s: float
    start_s: float
    """The next start is killed after so long; 0 lets it be."""
    is_old_copy: bool


@dataclass
class Return:
    """How a validator came back, in seconds from when its process and a quorum's were ready."""

    name: str
    start_s: float
    """From the start of the process until it was ready."""
    is_old_copy: bool
    """It had to fetch all that has happened since; how long that takes is not judged here."""
    connected_s: float = float("inf")
    """Until a quorum, itself included, was connected."""
    asked_s: float = float("inf")
    """Until enough others had said what its last block was."""
    ordered_s: float = float("inf")
    """Until it told a commit as high as those of the others."""


@dataclass
class Report:
    """What a campaign showed."""

    kills: int = 0
    pairs: int = 0
    """Kills of a second validator while the first was away."""
    outages: int = 0
    """Times that all were killed at once."""
    kills_at_start: int = 0
    old_copies: int = 0
    """Starts from an earlier copy of the store."""
    gone: int = 0
    """Acknowledged vertices that nobody but a replaced store had."""
    judgement: Judgement = field(default_factory=Judgement)
    returns: list[Return] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh, and whom it loses."""

    def __init__(
        self, mesh: ValidatorMesh, folder: Path, *, seed: int, back_within_s: float, tell: Tell
    ) -> None:
        self._mesh = mesh
        self._folder = folder
        self._copies: dict[str, Path] = {}
        """Stores as an earlier kill left them."""
        self._quorum = 2 * len(mesh.validators) // 3 + 1
        self._random = random.Random(seed)
        self._back_within_s = back_within_s
        self._tell = tell
        self.report = Report()

    async def run(self, kills: int) -> None:
        """Kill, look, start again, wait, compare."""
        self._mesh.publish(every_s=PUBLISH_EVERY_S)
        while self.report.kills < kills:
            await asyncio.sleep(self._random.uniform(0, ALIVE_S))
            plans = self._draw_plans(kills - self.report.kills)
            self.report.returns += await asyncio.gather(*map(self._kill_and_return, plans))
            self.report.loads.append(os.getloadavg()[0])
        self.report.judgement = found = await judge(self._mesh)
        self.report.failures += found.failures

    def _draw_plans(self, kills_left: int) -> list[Plan]:
        """Whom to kill in this round, and what becomes of each."""
        draw, victims, kind = self._random, list(self._mesh.validators), self._random.random()
        draw.shuffle(victims)
        is_outage = kind < ALL_SHARE and kills_left >= len(victims)
        is_pair = not is_outage and kind < ALL_SHARE + SECOND_SHARE and kills_left > 1
        self.report.outages += is_outage
        self.report.pairs += is_pair
        if not is_outage:
            del victims[1 + is_pair :]
        return [
            Plan(
                victim,
                # A second one goes while the first is away or on its way back.
                wait_s=draw.uniform(0, DEAD_S) if is_pair and number else 0.0,
                dead_s=draw.uniform(0, DEAD_S),
                start_s=draw.uniform(0, START_S) if draw.random() < STARTING_SHARE else 0.0,
                # What only one store has is gone with it, so no more than one goes at a time.
                is_old_copy=len(victims) == 1 and draw.random() < OLD_COPY_SHARE,
            )
            for number, victim in enumerate(victims)
        ]

    async def _kill_and_return(self, plan: Plan) -> Return:
        victim = plan.victim
        is_old_copy = plan.is_old_copy and victim.name in self._copies
        await asyncio.sleep(plan.wait_s)
        await self._mesh.kill(victim)
        self.report.kills += 1
        await self._look(victim)
        await asyncio.sleep(plan.dead_s)
        if is_old_copy:
            await self._put_back(victim)
        if plan.start_s:
            await self._mesh.kill_at_start(victim, after_s=plan.start_s)
            self.report.kills += 1
            self.report.kills_at_start += 1
            if not is_old_copy:
                await self._look(victim)
        began_s = time.monotonic()
        await self._mesh.start(victim)
        back = Return(victim.name, time.monotonic() - began_s, is_old_copy)
        await self._watch_return(victim, back)
        self._judge(back)
        return back

    async def _look(self, victim: Validator) -> None:
        if lost := await look_after_kill(victim):
            self._fail(f"kill {self.report.kills}: {victim.name} lost {len(lost)} acknowledged")
        if victim.name not in self._copies:
            self._copies[victim.name] = copy = self._folder / victim.name
            await asyncio.to_thread(copy_store, victim.seat.home.path, copy)

    async def _put_back(self, victim: Validator) -> None:
        """Replace a store by an old copy, and let go of what nobody else has."""
        copy = self._copies.pop(victim.name)
        await asyncio.to_thread(put_back_store, copy, victim.seat.home.path)
        self.report.old_copies += 1
        for vertex in await look_after_kill(victim):
            if not await self._is_held(vertex):
                del victim.acknowledged[vertex]
                self.report.gone += 1

    async def _is_held(self, vertex: str) -> bool:
        for each in self._mesh.running:
            with suppress(MeshError):
                await each.running.remote.vertex(vertex)
                return True
        return False

    async def _watch_return(self, victim: Validator, back: Return) -> None:
        book = self._mesh.book
        began_s = await self._wait_for_quorum()
        floor = max(book.height, book.heights.get(victim.name, 0) + 1)
        watch = asyncio.create_task(self._watch_status(victim, back, began_s))

        def is_level() -> bool:
            others = [
                book.heights.get(each.name, 0) for each in self._mesh.running if each is not victim
            ]
            return book.heights.get(victim.name, 0) >= max(floor, min(others, default=0))

        try:
            await book.wait_for(is_level, timeout_s=GIVE_UP_S)
            back.ordered_s = time.monotonic() - began_s
            await asyncio.wait_for(watch, GIVE_UP_S)
        except TimeoutError:
            status = await victim.status()
            self._fail(f"{victim.name} is not back: {status.consensus} {status.problems}")
        finally:
            watch.cancel()

    async def _wait_for_quorum(self) -> float:
        """When enough processes were ready for an order to be possible at all."""
        while len(self._mesh.running) < self._quorum:  # noqa: ASYNC110
            await asyncio.sleep(WATCH_S)
        return time.monotonic()

    async def _watch_status(self, victim: Validator, back: Return, began_s: float) -> None:
        while True:
            status = await victim.status()
            now_s = time.monotonic() - began_s
            if status.peers_ready + 1 >= self._quorum:
                back.connected_s = min(back.connected_s, now_s)
            if status.consensus is not None and status.consensus.standing == "active":
                back.asked_s = now_s
                return
            await asyncio.sleep(WATCH_S)

    def _judge(self, back: Return) -> None:
        if back.ordered_s > self._back_within_s and not back.is_old_copy:
            self._fail(f"{back.name} in order after {back.ordered_s:.1f} s")
        self._tell(
            f"  {self.report.kills:>3} {back.name} started in {back.start_s:.1f} s; then connected "
            f"{back.connected_s:.2f} s, asked {back.asked_s:.2f} s, in order {back.ordered_s:.2f} s"
            + ", from an old copy"
            * back.is_old_copy
        )

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)


async def campaign(*, kills: int, seed: int, back_within_s: float, tell: Tell) -> Report:
    """Run one on a fresh mesh."""
    with tempfile.TemporaryDirectory(prefix="meshnode-copies-") as folder:
        async with open_validators() as mesh:
            tell(f"{len(mesh.validators)} validators, {kills} kills, seed {seed}")
            run = Campaign(mesh, Path(folder), seed=seed, back_within_s=back_within_s, tell=tell)
            await run.run(kills)
    return run.report


def print_report(report: Report, tell: Tell) -> None:
    """The closing table."""
    plain = [back for back in report.returns if not back.is_old_copy]
    parts = {
        "start": [back.start_s for back in report.returns],
        "connected": [back.connected_s for back in plain],
        "asked": [back.asked_s for back in plain],
        "in order": [back.ordered_s for back in plain],
    }
    found = report.judgement
    tell(
        f"{'kills':<14} {report.kills}: {report.pairs} of a second one, "
        f"{report.outages} times all at once, {report.kills_at_start} during a start"
    )
    tell(f"{'old copies':<14} {report.old_copies}, with {report.gone} vertices nobody else had")
    tell(f"{'acknowledged':<14} {found.acknowledged} vertices")
    tell(f"{'commits':<14} {found.commits}, told by each validator in order and once")
    for name, values in parts.items():
        tell(f"{name:<14} {_describe(values)}")
    tell(f"{'machine':<14} load {_describe(report.loads, '')}, {os.cpu_count()} cores")
    tell(f"{'violations':<14} {len(report.failures)}")
    for failure in report.failures[:20]:
        tell(f"FAILED         {failure}")


def _describe(values: list[float], unit: str = " s") -> str:
    p50, p90 = percentile(values, 0.5), percentile(values, 0.9)
    return f"p50 {p50:.2f}{unit}, p90 {p90:.2f}{unit}, most {max(values):.2f}{unit}"


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--back-within", type=float, default=BACK_WITHIN_S, help="seconds")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    report = asyncio.run(
        campaign(
            kills=arguments.kills,
            seed=arguments.seed,
            back_within_s=arguments.back_within,
            tell=tell,
        )
    )
    print_report(report, tell)
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
