"""An hour of churn in virtual time: nodes join, leave, crash and come back; memory stays flat.

    python -m tests.campaigns.churn                          # an hour, a few minutes
    python -m tests.campaigns.churn --minutes 6 --members 12 --json

Real cores over links of 10 to 50 ms: four validators, who crash one at a time and come back soon,
and members who come, leave with a goodbye, crash, and return from their disks or for the first time.
Somebody publishes every few seconds; history is ordered, certified and pruned, so whoever was away
for long returns through a snapshot. Whenever one core has pruned, the bytes are counted that it
holds. At the end everybody comes back, and the run fails unless all have equal heads and one order,
and unless memory over the second half is flat: a plane through it, over time and over how many vertices
went by in two minutes, may rise by a quarter an hour. Of each of those it is known for two minutes who
has it, which is a third of everything where validators make many rounds; one object kept of every
vertex would rise by more.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dag.genesis import Parameters
from simulations.errors import SimulationFailed, Unreached
from tests.support.changing_mesh import ChangingMesh
from tests.support.daemons import read_rss_kib
from tests.support.deep_size import fit_slope_beside, measure_bytes

if TYPE_CHECKING:
    from simulations.host import Host

VALIDATORS: Final = 4
MINUTE_MS: Final = 60_000
CHANGE_MS: Final = 8_000
"""Between two changes, on average."""
PUBLISH_MS: Final = 10_000
BURST: Final = 1
"""Vertices that somebody says in a row, unless told otherwise. Single ones keep validators going for
several rounds each, so lamports of blocks leave those of speech behind."""
VALIDATOR_DOWN_MS: Final = 20_000
CHECKPOINT_COMMITS: Final = 20
LOOK_MS: Final = 1_000
AGREE_MS: Final = 300_000
SLOPE_MAX_PERCENT: Final = 25.0
"""Per hour, of what is held on average."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at one core that is always up, and at the process."""

    minute: float
    core_bytes: int
    vertices: int
    recent: int
    """Vertices that went by within two minutes: of each is known by whom, for so long."""
    running: int
    rss_kib: int
    """Of the process, which holds all cores and their disks."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run has shown."""

    minutes: float
    members: int
    changes: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    published: int = 0
    commits: int = 0
    agreed_ms: int | None = None
    """From the end of the churn until all had equal heads and one order; None if never."""
    cpu_s: float = 0.0

    @property
    def late(self) -> list[Sample]:
        """The second half: everybody is known by then, and the oldest history is pruned."""
        return self.samples[len(self.samples) // 2 :]

    @property
    def mean_bytes(self) -> float:
        """What the core held on average in the second half."""
        return sum(sample.core_bytes for sample in self.late) / len(self.late)

    @property
    def slope_bytes(self) -> float:
        """How that grew, in bytes per hour, at the same number of vertices that went by lately."""
        points = [(each.minute, float(each.recent), float(each.core_bytes)) for each in self.late]
        return 60 * fit_slope_beside(points)

    @property
    def slope_percent(self) -> float:
        """The slope over the mean, per hour."""
        return 100 * self.slope_bytes / self.mean_bytes

    @property
    def is_met(self) -> bool:
        """Whether all agreed and memory was flat."""
        return self.agreed_ms is not None and self.slope_percent <= SLOPE_MAX_PERCENT


class Churn:
    """A mesh in which somebody always comes or goes."""

    def __init__(self, members: int, minutes: float, seed: int, burst: int = BURST) -> None:
        parameters = Parameters(
            gc_commits=CHECKPOINT_COMMITS, checkpoint_commits=CHECKPOINT_COMMITS
        )
        self.scene = ChangingMesh(
            founders=VALIDATORS,
            members=members,
            seed=seed,
            parameters=parameters,
            validates=True,
            prunes=True,
        )
        self.report = Report(minutes=minutes, members=members)
        self._world = self.scene.world
        self._end_ms = minutes * MINUTE_MS
        self._burst = burst
        self._seen: Host = self.scene.founders[0]
        """Always up, and looked at."""
        self._held = 0
        """How many vertices it held at the last look."""

    def run(self) -> Report:
        """Let it churn, then let everybody come back and agree. Raises `SimulationFailed`."""
        start_s = time.process_time()
        self.scene.begin()
        self.scene.publish_every(PUBLISH_MS, self._end_ms, count=self._burst)
        self._change()
        while self._world.now_ms < self._end_ms:
            self._world.run_for(LOOK_MS)
            self._look()
        self._settle()
        self.report.published = len(self.scene.published)
        self.report.cpu_s = round(time.process_time() - start_s, 1)
        return self.report

    def _look(self) -> None:
        """Count bytes where history was pruned: between that, what is held grows and shrinks."""
        core = self._seen.core
        before, self._held = self._held, core.summarise().vertices
        if self._held >= before:
            return
        gc.collect()
        rss_kib, _ = read_rss_kib(os.getpid())
        minute, running = self._world.now_ms / MINUTE_MS, len(self.scene.mesh.up)
        recent = len(core._dissemination._traces)
        sample = Sample(minute, measure_bytes(core), self._held, recent, running, rss_kib)
        self.report.samples.append(sample)

    # --- who comes and goes ---------------------------------------------------------------------

    def _change(self) -> None:
        if self._world.now_ms >= self._end_ms:
            return
        self._change_one()
        wait_ms = self.scene.chance.expovariate(1 / CHANGE_MS)
        self._world.at(self._world.now_ms + wait_ms, self._change)

    def _change_one(self) -> None:
        scene, chance = self.scene, self.scene.chance
        guests = [host for host in scene.mesh.up if host not in scene.founders]
        away = [host for host in scene.mesh if not host.is_up and host not in scene.founders]
        if chance.random() < 0.1 and all(host.is_up for host in scene.founders):
            host = chance.choice(scene.founders[1:])
            scene.crash(host)
            self._world.at(self._world.now_ms + VALIDATOR_DOWN_MS, self._start, host)
            self.report.changes["validators crashed"] += 1
        elif not guests or (away and chance.random() < 0.5):
            host = scene.join()
            self.report.changes["joined" if host.life == 1 else "restarted"] += 1
        else:
            host = chance.choice(guests)
            leaves = chance.random() < 0.5
            (scene.leave if leaves else scene.crash)(host)
            self.report.changes["left" if leaves else "crashed"] += 1

    def _start(self, host: Host) -> None:
        if not host.is_up:
            host.start()

    def _settle(self) -> None:
        self._world.run_for(VALIDATOR_DOWN_MS)
        for host in self.scene.mesh:
            self._start(host)
        try:
            self.report.agreed_ms = self._world.run_until(self._is_agreed, AGREE_MS)
        except Unreached:
            self.report.agreed_ms = None
        self.report.commits = self._seen.core.view().consensus.commit_index

    def _is_agreed(self) -> bool:
        up = self.scene.mesh.up
        if len({host.summarise().heads_digest for host in up}) > 1:
            return False
        return len({host.core.view().consensus.commit_digest for host in up}) == 1


def show(report: Report) -> str:
    """Lines for people."""
    changes = ", ".join(f"{count} {name}" for name, count in sorted(report.changes.items()))
    first, last = report.late[0], report.late[-1]
    agreed = "NOT AGREED" if report.agreed_ms is None else f"equal heads {report.agreed_ms:,} ms"
    mean = f"{report.mean_bytes / 1_000:,.0f} KB"
    slope = f"slope {report.slope_bytes / 1_000:+,.1f} KB/h ({report.slope_percent:+.2f} % an hour)"
    lines = [
        f"{report.minutes:g} minutes, {report.members} members: {changes}",
        f"{report.published} vertices published, {report.commits} commits; {agreed} after",
        f"one core, at {len(report.late)} prunings of the second half: {mean} on average, {slope}",
        f"its vertices: {first.vertices} held after the first of these, {last.vertices} at the end",
        f"the process: {last.rss_kib / 1_024:,.0f} MB with all disks, {report.cpu_s:,.0f} s CPU",
    ]
    return "\n".join(lines)


def make_document(report: Report) -> dict[str, Any]:
    """The same as JSON types."""
    return asdict(replace(report, changes=Counter())) | {
        "changes": dict(report.changes),
        "slope_percent": report.slope_percent,
        "is_met": report.is_met,
    }


def main() -> int:
    """Run; 1 if heads differ at the end or memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="of virtual time")
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--burst", type=int, default=BURST, help="vertices said in a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    given = parser.parse_args()
    churn = Churn(given.members, given.minutes, given.seed, given.burst)
    try:
        report = churn.run()
    except SimulationFailed as error:
        print(error, file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(make_document(report)))
    else:
        print(show(report))
    return 0 if report.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
