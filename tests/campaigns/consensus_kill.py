"""Validators that are killed under load: one order, nothing lost, and soon back in it.

    python -m tests.campaigns.consensus_kill --kills 50 --seed 7

Four real validators, each of which publishes all the time. One of them, drawn by the seed, gets
SIGKILL at a drawn moment, and now and then another one right after it; each starts again after a
drawn delay. Its journal, as the kill left it, must hold all it has acknowledged. After the start it
must soon tell commits again that are as high as those of the others. Everything all of them ever
told is compared, and in the end every store is folded anew: one order, every acknowledged vertex in
it once, nothing told twice, no place filled twice. Prints a closing table; exit code 1 when
anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.daemons import percentile, verify_store
from tests.support.stored_order import Places, fold_again, list_ids, read_stored
from tests.support.validators import Validator, ValidatorMesh, open_validators

PUBLISH_EVERY_S = 0.2
ALIVE_S = 2.0
"""All run at most this long between two rounds of kills."""
DEAD_S = 3.0
SECOND_SHARE = 0.25
"""Rounds in which another validator is killed while the first is away or just back."""
BACK_WITHIN_S = 5.0
GIVE_UP_S = 90.0
WATCH_S = 0.05

Tell = Callable[[str], None]


@dataclass
class Return:
    """How a validator came back, in seconds from the moment its process was ready."""

    name: str
    start_s: float
    """From the start of the process until it was ready."""
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
    acknowledged: int = 0
    commits: int = 0
    untold: int = 0
    """Commits that no reader of events was there to hear: around a kill."""
    returns: list[Return] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh, and whom it loses."""

    def __init__(self, mesh: ValidatorMesh, *, seed: int, back_within_s: float, tell: Tell) -> None:
        self._mesh = mesh
        self._random = random.Random(seed)
        self._back_within_s = back_within_s
        self._tell = tell
        self._places = Places()
        self.report = Report()

    async def run(self, kills: int) -> None:
        """Kill, look, start again, wait, compare."""
        self._mesh.publish(every_s=PUBLISH_EVERY_S)
        while self.report.kills < kills:
            await self._round(pair_fits=kills - self.report.kills > 1)
        await self._finish()

    async def _round(self, *, pair_fits: bool) -> None:
        draw = self._random
        await asyncio.sleep(draw.uniform(0, ALIVE_S))
        victims = draw.sample(self._mesh.validators, 2)
        plans = [(draw.uniform(0, DEAD_S), draw.uniform(0, DEAD_S)) for _ in victims]
        is_pair = pair_fits and draw.random() < SECOND_SHARE
        self.report.pairs += is_pair
        if not is_pair:
            del victims[1:], plans[1:]
        # The second goes while the first is away or on its way back.
        lives = [
            self._kill_and_return(victim, wait_s if number else 0.0, dead_s)
            for number, (victim, (wait_s, dead_s)) in enumerate(zip(victims, plans, strict=True))
        ]
        self.report.returns += await asyncio.gather(*lives)
        self.report.loads.append(os.getloadavg()[0])

    async def _kill_and_return(self, victim: Validator, wait_s: float, dead_s: float) -> Return:
        await asyncio.sleep(wait_s)
        await self._mesh.kill(victim)
        self.report.kills += 1
        number = self.report.kills
        await self._look(victim, number)
        await asyncio.sleep(dead_s)
        began_s = time.monotonic()
        await self._mesh.start(victim)
        back = Return(victim.name, time.monotonic() - began_s)
        await self._watch_return(victim, back)
        self._judge(back, number)
        return back

    async def _look(self, victim: Validator, number: int) -> None:
        """What the kill left behind."""
        stored = await asyncio.to_thread(read_stored, victim.seat.home.path)
        held = list_ids(stored)
        lost = [vertex for vertex in victim.acknowledged if vertex not in held]
        if lost:
            self._fail(f"kill {number}: {victim.name} lost {len(lost)} acknowledged vertices")

    async def _watch_return(self, victim: Validator, back: Return) -> None:
        book, began_s = self._mesh.book, time.monotonic()
        floor = book.height
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

    async def _watch_status(self, victim: Validator, back: Return, began_s: float) -> None:
        while True:
            status = await victim.status()
            now_s = time.monotonic() - began_s
            quorum = 2 * len(self._mesh.validators) // 3 + 1
            if status.peers_ready + 1 >= quorum:
                back.connected_s = min(back.connected_s, now_s)
            if status.consensus is not None and status.consensus.standing == "active":
                back.asked_s = now_s
                return
            await asyncio.sleep(WATCH_S)

    def _judge(self, back: Return, number: int) -> None:
        if back.ordered_s > self._back_within_s:
            self._fail(f"kill {number}: {back.name} in order after {back.ordered_s:.1f} s")
        self._tell(
            f"  {number:>3} {back.name} started in {back.start_s:.1f} s; then connected "
            f"{back.connected_s:.2f} s, asked {back.asked_s:.2f} s, in order {back.ordered_s:.2f} s"
        )

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)

    # --- the end -----------------------------------------------------------------------------

    async def _finish(self) -> None:
        mesh, report = self._mesh, self.report
        try:
            await mesh.settle()
        except TimeoutError:
            self._fail("the mesh does not come to rest")
        report.failures += mesh.book.failures
        for validator in list(mesh.running):
            await mesh.terminate(validator)
        report.acknowledged = len(mesh.acknowledged)
        report.commits = len(mesh.book.commits)
        digests: dict[int, bytes] = {}
        for validator in mesh.validators:
            await asyncio.to_thread(self._compare, validator, digests)
        told = Counter(telling.name for telling in mesh.book.tellings)
        report.untold = sum(len(digests) - told[each.name] for each in mesh.validators)

    def _compare(self, validator: Validator, digests: dict[int, bytes]) -> None:
        """A store at rest, with what was told and promised."""
        home, name = validator.seat.home.path, validator.name
        stored = read_stored(home)
        commits = fold_again(home, self._mesh.genesis, stored)
        for commit in commits:
            told = self._mesh.book.commits.get(commit.index)
            if digests.setdefault(commit.index, commit.digest) != commit.digest:
                self._fail(f"FORK: the store of {name} gives another commit {commit.index}")
            if told is not None and told.commit_digest != commit.digest.hex():
                self._fail(f"FORK: commit {commit.index} was told otherwise than {name} holds it")
        if len(commits) < max(digests, default=0):
            self._fail(f"the order of {name} ends at {len(commits)} of {max(digests)}")
        times = Counter(ref.id.hex() for commit in commits for ref in commit.vertices)
        lost = [vertex for vertex in self._mesh.acknowledged if not times[vertex]]
        twice = [vertex for vertex, count in times.items() if count > 1]
        if lost or twice:
            self._fail(f"{name}: {len(lost)} acknowledged not ordered, {len(twice)} ordered twice")
        for twin in self._places.fill(stored):
            self._fail(f"{name} holds two vertices of {twin}")
        if (problem := verify_store(home)) is not None:
            self._fail(f"dag verify of {name}: {problem}")


async def campaign(*, kills: int, seed: int, back_within_s: float, tell: Tell) -> Report:
    """Run one on a fresh mesh."""
    async with open_validators() as mesh:
        tell(f"{len(mesh.validators)} validators, {kills} kills, seed {seed}")
        run = Campaign(mesh, seed=seed, back_within_s=back_within_s, tell=tell)
        await run.run(kills)
    return run.report


def print_report(report: Report, tell: Tell) -> None:
    """The closing table."""
    parts = {
        "start": [back.start_s for back in report.returns],
        "connected": [back.connected_s for back in report.returns],
        "asked": [back.asked_s for back in report.returns],
        "in order": [back.ordered_s for back in report.returns],
    }
    tell(f"{'kills':<14} {report.kills}, {report.pairs} of them of a second validator")
    tell(f"{'acknowledged':<14} {report.acknowledged} vertices")
    tell(f"{'commits':<14} {report.commits}, {report.untold} tellings without a reader")
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
