"""Validators on hosts of their own whose network is cut in two: no fork, no halt that stays.

    python -m tests.campaigns.consensus_cut --seconds 8 40 --seed 7

Four real validators under load, each in a network namespace of its own, joined by bridges. Cut 2|2
neither side may make a commit; everything both sides have accepted meanwhile becomes final after
the network is whole again, within ten rounds of the moment in which the sides reach each other. Cut 3|1 the three go on, the
one stops and catches up afterwards. Rounds are read from the stored blocks, seconds from the heal,
with the time until the sides reached each other again said apart. Prints a line for each cut; exit code 1
when anything was not as it must be, 77 where this machine lets nobody have namespaces.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.netns import HostNetwork, enter_namespaces, find_obstacle
from tests.support.order_judge import Judgement, judge
from tests.support.validators import SEATS, Validator, ValidatorMesh, open_validators

MODULE = "tests.campaigns.consensus_cut"
PUBLISH_EVERY_S = 0.2
WHOLE_S = 5.0
"""The network is whole for this long between two cuts."""
DRAIN_S = 1.0
"""What was under way at the moment of a cut may still end within this."""
LIMIT_S = 120.0
"""Whatever should happen happens within this; the figures say how fast it was."""
ROUNDS_MAX = 10
NO_NAMESPACES = 77
"""Exit code: test harnesses know it as 'skipped'."""

Tell = Callable[[str], None]


@dataclass
class Cut:
    """One cut and what followed."""

    parts: str
    seconds: float
    commits: int = 0
    """Made while the network was cut."""
    top_round: int = 0
    """The highest round anybody had when the sides reached each other again."""
    next_commit: int = 0
    """The first that was made after the heal."""
    waiting: list[str] = field(default_factory=list)
    """What was accepted while the network was cut, and could not become final."""
    reached_s: float = float("inf")
    """From the heal until a quorum had taken in something from the other side: connections had to
    come back, or TCP to send again."""
    ordered_s: float = float("inf")
    """From then until everybody had told a commit made after the heal."""
    final_s: float = float("inf")
    """From then until everybody had told that all of `waiting` is final."""


@dataclass
class Report:
    """What a campaign showed."""

    cuts: list[Cut] = field(default_factory=list)
    judgement: Judgement = field(default_factory=Judgement)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh and its network."""

    def __init__(self, mesh: ValidatorMesh, network: HostNetwork, *, seed: int, tell: Tell) -> None:
        self._mesh = mesh
        self._network = network
        self._random = random.Random(seed)
        self._tell = tell
        self.report = Report()

    async def run(self, durations: Sequence[float]) -> None:
        """Every kind of cut, for every duration."""
        self._mesh.publish(every_s=PUBLISH_EVERY_S)
        for seconds in durations:
            for size in (2, 3):
                await asyncio.sleep(WHOLE_S)
                await self._cut(size, seconds)
        self.report.judgement = found = await judge(self._mesh)
        self.report.failures += found.failures
        for cut in self.report.cuts:
            self._judge(cut)

    async def _cut(self, size: int, seconds: float) -> None:
        mesh, book = self._mesh, self._mesh.book
        order = self._random.sample(range(SEATS), SEATS)
        parts = order[:size], order[size:]
        cut = Cut(f"{size}|{SEATS - size}", seconds)
        minority = [] if size == 2 else [mesh.validators[number] for number in parts[1]]
        self._network.cut(parts)
        await asyncio.sleep(DRAIN_S)
        heights = dict(book.heights)
        began_s = time.monotonic()
        await asyncio.sleep(seconds)
        cut.commits = book.height - max(heights.values())
        stuck = minority or mesh.validators
        cut.waiting = [
            vertex
            for each in stuck
            for vertex, at_s in each.acknowledged.items()
            if at_s >= began_s
        ]
        moved = [each.name for each in stuck if book.heights[each.name] != heights[each.name]]
        if moved:
            self._fail(f"{cut.parts}: {', '.join(moved)} made commits without a quorum")
        if minority and not cut.commits:
            self._fail(f"{cut.parts}: three of four made no commit")
        cut.next_commit = book.height + 1
        self._network.heal()
        await self._watch_heal(cut, parts)
        self.report.cuts.append(cut)
        self._say(cut)

    async def _watch_heal(self, cut: Cut, parts: Sequence[Sequence[int]]) -> None:
        book, finals = self._mesh.book, self._mesh.book.finals
        names = [each.name for each in self._mesh.validators]
        healed_s = time.monotonic()
        try:
            await book.wait_for(lambda: self._is_reached(healed_s, parts), timeout_s=LIMIT_S)
            since_s = time.monotonic()
            cut.reached_s = since_s - healed_s
            cut.top_round = max([await _read_round(each) for each in self._mesh.validators])
            await book.wait_for(
                lambda: min(book.heights[name] for name in names) >= cut.next_commit,
                timeout_s=LIMIT_S,
            )
            cut.ordered_s = time.monotonic() - since_s
            await book.wait_for(
                lambda: all(
                    name in finals.get(vertex, ()) for vertex in cut.waiting for name in names
                ),
                timeout_s=LIMIT_S,
            )
            cut.final_s = time.monotonic() - since_s
        except TimeoutError:
            orders = [(await each.status()).consensus for each in self._mesh.validators]
            seconds = time.monotonic() - healed_s
            self._fail(f"{cut.parts}: not back {seconds:.0f} s after the heal: {orders}")

    def _is_reached(self, since_s: float, parts: Sequence[Sequence[int]]) -> bool:
        """Whether somebody on each side, and a quorum in all, has heard of the other since."""
        heard_s, validators = self._mesh.book.heard_s, self._mesh.validators
        reached = [
            [
                number
                for number in part
                if any(
                    heard_s.get((validators[number].name, author), 0.0) > since_s
                    for author in self._list_authors(other)
                )
            ]
            for part, other in ((parts[0], parts[1]), (parts[1], parts[0]))
        ]
        return all(reached) and sum(map(len, reached)) >= 2 * SEATS // 3 + 1

    def _list_authors(self, part: Sequence[int]) -> list[str]:
        return [self._mesh.validators[number].seat.author.hex() for number in part]

    def _judge(self, cut: Cut) -> None:
        """Rounds from the heal, as the stored blocks tell them."""
        found = self.report.judgement
        last = max((found.ordered_at.get(vertex, 0) for vertex in cut.waiting), default=0)
        first_rounds = found.decided_rounds.get(cut.next_commit, 0) - cut.top_round
        final_rounds = found.decided_rounds.get(last, 0) - cut.top_round
        self._tell(
            f"{cut.parts} for {cut.seconds:.0f} s: first commit {first_rounds} rounds after that, "
            f"everything that waited ({len(cut.waiting)}) final after {final_rounds}"
        )
        if cut.parts == "2|2" and first_rounds > ROUNDS_MAX:
            self._fail(f"{cut.parts}: the first commit took {first_rounds} rounds")

    def _say(self, cut: Cut) -> None:
        self._tell(
            f"{cut.parts} for {cut.seconds:.0f} s: {cut.commits} commits; healed: reached after "
            f"{cut.reached_s:.2f} s, then in order {cut.ordered_s:.2f} s, all final "
            f"{cut.final_s:.2f} s, load {os.getloadavg()[0]:.1f}"
        )

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"FAILED {text}")


async def _read_round(validator: Validator) -> int:
    order = (await validator.status()).consensus
    return 0 if order is None else order.round


async def campaign(*, durations: Sequence[float], seed: int, tell: Tell) -> Report:
    """Run one on a fresh mesh, inside the namespaces of this process."""
    network = HostNetwork(SEATS)
    async with open_validators(network.places, start=network.start) as mesh:
        tell(f"{SEATS} validators on {SEATS} hosts, seed {seed}")
        run = Campaign(mesh, network, seed=seed, tell=tell)
        await run.run(durations)
    return run.report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[8.0, 40.0], help="durations of the cuts"
    )
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    if (obstacle := find_obstacle()) is not None:
        tell(f"this machine allows no network namespaces: {obstacle}")
        return NO_NAMESPACES
    enter_namespaces(MODULE)
    report = asyncio.run(campaign(durations=arguments.seconds, seed=arguments.seed, tell=tell))
    for failure in report.failures:
        tell(f"FAILED {failure}")
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
