"""Validators that stop: with one of four gone the order goes on, with two it waits for them.

    python -m tests.campaigns.consensus_stop --seconds 15 --seed 7

Four real validators under load. One is stopped, in order or in the middle of everything (SIGSTOP,
which leaves its connections standing): the others must go on making commits. Then two are: no commit
may be made, the rest must say why, go on accepting publications and use no processor; when one
comes back, everything accepted meanwhile must become final. In the end all stores are compared.
Prints what each phase showed; exit code 1 when anything was not as it must be.
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

from tests.support.daemons import percentile, read_cpu_s
from tests.support.order_judge import judge
from tests.support.validators import POLL_S, Validator, ValidatorMesh, open_validators

PUBLISH_EVERY_S = 0.2
LIMIT_S = 90.0
"""Whatever should happen happens within this; the figures say how fast it was."""
DRAIN_S = 1.0
"""What was under way when a quorum was lost may still end within this."""
ACCEPTED = 5
"""Publications by each remaining validator while nothing can become final."""
CPU_SHARE_MAX = 0.05

Tell = Callable[[str], None]


@dataclass
class Report:
    """What a campaign showed."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh, and whom it has to do without."""

    def __init__(self, mesh: ValidatorMesh, *, seconds: float, seed: int, tell: Tell) -> None:
        self._mesh = mesh
        self._seconds = seconds
        self._random = random.Random(seed)
        self._tell = tell
        self.report = Report()

    async def run(self) -> None:
        """All phases."""
        self._mesh.publish(every_s=PUBLISH_EVERY_S)
        await self._go_on("all four", self._mesh.validators)
        for is_paused in (False, True):
            await self._do_without_one(is_paused=is_paused)
        for is_paused in (False, True):
            await self._do_without_two(is_paused=is_paused)
        found = await judge(self._mesh)
        self.report.failures += found.failures
        self._say("the end", f"{found.commits} commits, {found.acknowledged} acknowledged vertices")

    # --- one of four --------------------------------------------------------------------------

    async def _do_without_one(self, *, is_paused: bool) -> None:
        (victim,) = self._random.sample(self._mesh.validators, 1)
        word = "SIGSTOP" if is_paused else "SIGTERM"
        others = [each for each in self._mesh.validators if each is not victim]
        await self._take_away(victim, is_paused=is_paused)
        await self._go_on(f"one away ({word})", others)
        await self._bring_back(victim, is_paused=is_paused)
        await self._go_on("back again", self._mesh.validators)

    async def _go_on(self, phase: str, working: Sequence[Validator]) -> None:
        """Publish for a while; all of it must become final at those who work."""
        mesh, book = self._mesh, self._mesh.book
        began_s, height = time.monotonic(), book.height
        await asyncio.sleep(self._seconds)
        ended_s, commits = time.monotonic(), book.height - height
        submitted = [
            vertex
            for each in working
            for vertex, at_s in each.acknowledged.items()
            if began_s <= at_s < ended_s
        ]
        if not submitted or not commits:
            self._fail(f"{phase}: {len(submitted)} publications, {commits} commits")
            return
        await self._wait_final(phase, submitted, working)
        latencies = [
            latency
            for latency in mesh.list_latencies(since_s=began_s, until_s=ended_s)
            if latency < float("inf")
        ]
        self._say(
            phase,
            f"{commits / self._seconds:.1f} commits/s, final after p50 "
            f"{percentile(latencies, 0.5):.2f} s, p95 {percentile(latencies, 0.95):.2f} s, "
            f"most {max(latencies):.2f} s",
        )

    async def _wait_final(
        self, phase: str, vertices: Sequence[str], working: Sequence[Validator]
    ) -> float:
        finals = self._mesh.book.finals

        def is_final() -> bool:
            return all(
                each.name in finals.get(vertex, ()) for each in working for vertex in vertices
            )

        try:
            return await self._mesh.book.wait_for(is_final, timeout_s=LIMIT_S)
        except TimeoutError:
            self._fail(f"{phase}: not all of {len(vertices)} vertices became final everywhere")
            return float("inf")

    # --- two of four --------------------------------------------------------------------------

    async def _do_without_two(self, *, is_paused: bool) -> None:
        mesh, book = self._mesh, self._mesh.book
        phase = f"two away ({'SIGSTOP' if is_paused else 'SIGTERM'})"
        first, second = self._random.sample(mesh.validators, 2)
        rest = [each for each in mesh.validators if each not in (first, second)]
        await self._take_away(first, is_paused=is_paused)
        await self._take_away(second, is_paused=is_paused)
        await asyncio.sleep(DRAIN_S)
        height, began_s = book.height, time.monotonic()
        mesh.publish(every_s=0)
        noticed_s = await self._wait_said(phase, rest)
        accepted = await self._publish_some(phase, rest)
        cpu_share = await self._measure_cpu(rest)
        halted_s = time.monotonic() - began_s
        if book.height != height:
            self._fail(f"{phase}: {book.height - height} commits without a quorum")
        if cpu_share > CPU_SHARE_MAX:
            self._fail(f"{phase}: the rest use {cpu_share:.1%} of a core each")
        self._say(
            phase,
            f"no commit for {halted_s:.1f} s, said so after {noticed_s:.1f} s, "
            f"{len(accepted)} publications accepted, {cpu_share:.1%} of a core each",
        )
        await self._bring_back(first, is_paused=is_paused)
        seconds = await self._wait_final(phase, accepted, [*rest, first])
        self._say("one is back", f"all that was accepted is final after {seconds:.2f} s")
        await self._bring_back(second, is_paused=is_paused)
        mesh.publish(every_s=PUBLISH_EVERY_S)
        await self._go_on("both are back", mesh.validators)

    async def _wait_said(self, phase: str, rest: Sequence[Validator]) -> float:
        """Until the rest say that they lack a quorum."""
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_S):
                for each in rest:
                    while not await _says_no_quorum(each):  # noqa: ASYNC110
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            self._fail(f"{phase}: the rest do not say that they lack a quorum")
        return time.monotonic() - began_s

    async def _publish_some(self, phase: str, rest: Sequence[Validator]) -> list[str]:
        accepted = []
        for number in range(ACCEPTED):
            for each in rest:
                vertex = await self._mesh.publish_one(each, f"while halted {number} {each.name}")
                if vertex is None:
                    self._fail(f"{phase}: {each.name} refused a publication")
                else:
                    accepted.append(vertex)
        for each in rest:
            if not (await each.status()).problems:
                self._fail(f"{phase}: the status of {each.name} names no problem")
        return accepted

    async def _measure_cpu(self, rest: Sequence[Validator]) -> float:
        """The share of a core that each of them uses with nothing to do."""
        await asyncio.sleep(DRAIN_S)
        pids = [each.running.spawned.pid for each in rest]
        before_s, began_s = sum(map(read_cpu_s, pids)), time.monotonic()
        await asyncio.sleep(self._seconds)
        spent_s = sum(map(read_cpu_s, pids)) - before_s
        return spent_s / (time.monotonic() - began_s) / len(pids)

    # --- who goes and comes -------------------------------------------------------------------

    async def _take_away(self, victim: Validator, *, is_paused: bool) -> None:
        if is_paused:
            self._mesh.pause(victim)
        else:
            await self._mesh.terminate(victim)

    async def _bring_back(self, victim: Validator, *, is_paused: bool) -> None:
        """Let a validator work again, and wait until it tells what the others tell."""
        mesh, book = self._mesh, self._mesh.book
        if is_paused:
            mesh.resume(victim)
        else:
            await mesh.start(victim)
        began_s, height = time.monotonic(), book.height
        if await mesh.publish_one(victim, f"{victim.name} is back") is None:
            self._fail(f"{victim.name} refused a publication after its return")
        try:
            await book.wait_for(
                lambda: book.heights.get(victim.name, 0) > height, timeout_s=LIMIT_S
            )
        except TimeoutError:
            self._fail(f"{victim.name} is not back: {(await victim.status()).consensus}")
        else:
            self._say(
                f"{victim.name} returns", f"in order after {time.monotonic() - began_s:.2f} s"
            )

    def _say(self, phase: str, text: str) -> None:
        self.report.lines.append((phase, text))
        self._tell(f"{phase:<20} {text}, load {os.getloadavg()[0]:.1f}")

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"{'FAILED':<20} {text}")


async def _says_no_quorum(validator: Validator) -> bool:
    order = (await validator.status()).consensus
    return order is not None and order.standing == "no_quorum"


async def campaign(*, seconds: float, seed: int, tell: Tell) -> Report:
    """Run one on a fresh mesh."""
    async with open_validators() as mesh:
        tell(f"{len(mesh.validators)} validators, {seconds:.0f} s in each phase, seed {seed}")
        run = Campaign(mesh, seconds=seconds, seed=seed, tell=tell)
        await run.run()
    return run.report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    report = asyncio.run(campaign(seconds=arguments.seconds, seed=arguments.seed, tell=tell))
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
