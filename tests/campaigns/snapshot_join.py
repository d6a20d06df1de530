"""Joining a mesh whose old history nobody holds any more: real processes, from nothing to a member.

    python -m tests.campaigns.snapshot_join --vertices 2000 --seed 7

Real validators that prune talk until what was said first is gone everywhere. Then a newcomer with an
empty home joins while they talk on: it must come to their order from a snapshot, hold what they hold,
publish and serve, and come back from its own journal. It invites another, which is killed again and
again in the middle of its join. A validator that was away for too long comes back the same way. The
command line is asked about what is not held. In the end a second mesh, which makes no
checkpoints, lets a newcomer take the same history in full, for comparison. Prints what each phase
showed; exit code 1 when anything was not as it must be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dag.genesis import COMMITS_MAX, Parameters
from meshnode.client import RemoteNode
from meshnode.errors import MeshError
from tests.support.committee import Place
from tests.support.guests import Guest, wait_equal
from tests.support.stored_order import read_stored
from tests.support.validators import SEATS, Validator, ValidatorMesh, open_validators

EVERY_COMMITS = 20
"""After so many commits payload is old, and a checkpoint is made."""
GROW_EVERY_S = 0.02
TALK_EVERY_S = 0.4
"""While somebody joins."""
LIMIT_S = 180.0
"""Whatever should happen happens within this; the figures say how fast it was."""
KILL_WITHIN_S = 4.0
KILL_LATE_WITHIN_S = 0.4
"""After the snapshot is in the journal."""
PATIENCE = ("silent", "slow_reader", "answers do not come")
"""What a machine that is busy with other things makes honest nodes charge each other with."""
POLL_S = 0.1
LOG_SHOWN = 3_000

Tell = Callable[[str], None]


@dataclass
class Join:
    """What a newcomer's way into the order cost."""

    seconds: float
    """From the moment it was ready to talk to the commit the mesh had by then."""
    size_bytes: int
    """Received by then."""
    notes: int
    """Published before it began."""
    commits: int
    """Made before it began."""


@dataclass
class Report:
    """What a campaign showed."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Campaign:
    """One mesh that prunes, and who comes to it."""

    def __init__(self, mesh: ValidatorMesh, report: Report, *, seed: int, tell: Tell) -> None:
        self._mesh = mesh
        self._random = random.Random(seed)
        self._tell = tell
        self._guests: list[Guest] = []
        self._first = ""
        self.report = report

    async def run_short(self) -> None:
        """A newcomer joins, is used, killed and back; both homes are looked at."""
        await self.grow(0)
        guest = Guest(self._mesh.crew, self._mesh.book, "guest-0")
        await self.join(guest, await self._invite())
        await self._use(guest)
        await self._come_back(guest, guest.kill)
        for home in (guest.home, self._mesh.validators[0].seat.home.path):
            await self._command(0, "not re-derived", "dag", "verify", "--home", str(home))
        self._end()

    async def run(self, vertices: int, *, kills: int) -> Join:
        """All phases; answers what the first newcomer's join cost."""
        await self.grow(vertices)
        first = Guest(self._mesh.crew, self._mesh.book, "guest-0")
        join = await self.join(first, await self._invite())
        await self._use(first)
        await self._come_back(first, first.terminate, first.kill)
        await self.grow(0)  # now what the inviter said of itself is old, too
        await self._kill_at_join(await first.remote.invite(uses=100), kills=kills)
        await self._lag(self._mesh.validators[-1])
        await self._restart_all()
        await self._ask_commands(first)
        self._end()
        return join

    # --- phases -------------------------------------------------------------------------------

    async def grow(self, vertices: int) -> None:
        """Talk until so much was said, and what was said before is gone everywhere."""
        mesh, began_s = self._mesh, time.monotonic()
        marker = await mesh.publish_one(mesh.validators[0], "the first of many")
        assert marker is not None, "somebody listens"
        self._first = self._first or marker
        mesh.publish(every_s=GROW_EVERY_S)
        async with asyncio.timeout(LIMIT_S + vertices / 10):
            while len(mesh.acknowledged) < vertices or await self._count_holders(marker):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        mesh.publish(every_s=TALK_EVERY_S)
        status = await mesh.validators[0].status()
        assert status.consensus is not None
        self._say(
            "history",
            f"{len(mesh.acknowledged)} notes and {status.consensus.commit_index} commits in "
            f"{time.monotonic() - began_s:.1f} s; {status.vertices} vertices are still held",
        )

    async def _count_holders(self, vertex: str) -> int:
        held = 0
        for each in self._mesh.running:
            try:
                await each.running.remote.vertex(vertex)
            except MeshError:
                continue
            held += 1
        return held

    async def join(self, guest: Guest, ticket: str, *, in_full: bool = False) -> Join:
        """Let a newcomer come to the order while the others talk on."""
        notes, target = len(self._mesh.acknowledged), self._mesh.book.height
        started_s = time.monotonic()
        self._guests.append(guest)
        await guest.start(ticket, prune=True, record=f"{guest.home}.{len(self._guests)}.rec")
        ready_s = time.monotonic()
        await guest.wait_order(target, timeout_s=LIMIT_S)
        seconds = time.monotonic() - ready_s
        status = await guest.status()
        join = Join(seconds, status.counters["bytes_received"], notes, target)
        joined = self._mesh.book.joined.get(guest.name, [])
        if bool(joined) == in_full:
            self._fail(f"{guest.name}: joined from the snapshots {joined}, in full: {in_full}")
        self._say(
            "join in full" if in_full else "join by snapshot",
            f"ready after {ready_s - started_s:.1f} s, at commit {target} {seconds:.2f} s later "
            f"with {join.size_bytes / 1_000:.0f} kB received; {status.vertices} vertices held",
        )
        await self._compare()
        return join

    async def take_in_full(self, like: Join) -> Join:
        """Say as much as was said before another join, and let a newcomer take all of it."""
        mesh = self._mesh
        mesh.publish(every_s=GROW_EVERY_S)
        async with asyncio.timeout(LIMIT_S + like.notes / 10):
            while len(mesh.acknowledged) < like.notes or mesh.book.height < like.commits:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        mesh.publish(every_s=TALK_EVERY_S)
        guest = Guest(mesh.crew, mesh.book, "guest-0")
        join = await self.join(guest, await self._invite(), in_full=True)
        self._end()
        return join

    async def _use(self, guest: Guest) -> None:
        """A newcomer says something that becomes final, and answers a question."""
        note = await guest.remote.publish("the newcomer speaks")
        for remote in self._list_remotes():
            if not (await remote.finality(note.id, wait_ms=int(LIMIT_S * 1_000))).final:
                self._fail(f"what {guest.name} said is not final everywhere")
        answer = await self._mesh.validators[0].running.remote.ask("who are you?")
        if "who are you?" not in answer.text:
            self._fail(f"{guest.name} serves nothing useful: {answer.text!r}")
        self._say("in use", "its note is final everywhere, and it answers questions")

    async def _come_back(self, guest: Guest, *ends: Callable[[], Awaitable[None]]) -> None:
        """A newcomer is ended, while others speak, and goes on from its own journal."""
        self._mesh.publish(every_s=0)
        joined = list(self._mesh.book.joined[guest.name])
        for end in ends:
            await end()
            await self._mesh.publish_one(self._mesh.validators[0], "while it is away")
            await guest.start("", prune=True)
            await guest.wait_order(self._mesh.book.height, timeout_s=LIMIT_S)
            await self._compare(then_every_s=0)
        if self._mesh.book.joined[guest.name] != joined:
            self._fail(f"{guest.name} did not go on from its own journal")
        self._mesh.publish(every_s=TALK_EVERY_S)
        self._say("restarts", "a newcomer is back from its own journal")

    async def _kill_at_join(self, ticket: str, *, kills: int) -> None:
        """A newcomer is killed in the middle of its join, again and again, and joins in the end."""
        guest = Guest(self._mesh.crew, self._mesh.book, "guest-1")
        found: list[str] = []
        for number in range(kills):
            late = number % 2 == 1
            after_s = self._random.uniform(0.0, KILL_LATE_WITHIN_S if late else KILL_WITHIN_S)
            await guest.kill_at_join(ticket, with_snapshot=late, after_s=after_s, prune=True)
            stored = await asyncio.to_thread(read_stored, guest.home)
            found.append(f"{len(stored.vertices)}+{len(stored.snapshots)}")
        self._say("killed at join", f"left with so many vertices+snapshots: {', '.join(found)}")
        await self.join(guest, ticket)
        await self._use(guest)

    async def _lag(self, laggard: Validator) -> None:
        """A validator is away until what it needs is gone; then it makes blocks again."""
        last = await self._mesh.publish_one(laggard, "the last word before it goes")
        assert last is not None
        await laggard.running.remote.finality(last, wait_ms=int(LIMIT_S * 1_000))
        await self._mesh.terminate(laggard)
        await self.grow(0)
        target, began_s = self._mesh.book.height, time.monotonic()
        await self._mesh.start(laggard)
        async with asyncio.timeout(LIMIT_S):
            while True:
                order = (await laggard.status()).consensus
                if order and order.commit_index >= target and order.standing == "active":
                    break
                await asyncio.sleep(POLL_S)
        joined = self._mesh.book.joined.get(laggard.name)
        if not joined:
            self._fail(f"{laggard.name} came back without a snapshot")
        self._say("laggard", f"makes blocks {time.monotonic() - began_s:.1f} s later, {joined=}")
        await self._compare()

    async def _restart_all(self) -> None:
        """Every pruned store is begun from again."""
        for validator in self._mesh.validators:
            await self._mesh.terminate(validator)
            await self._mesh.start(validator)
        await self._compare()
        self._say("restarts", "every validator is back from its pruned store")

    # --- what people are told -----------------------------------------------------------------

    async def _ask_commands(self, guest: Guest) -> None:
        """What the command line says of a store that is not complete."""
        home = self._mesh.validators[0].seat.home.path
        self._mesh.publish(every_s=0)
        for where in (guest.home, home):
            await self._command(0, "pruned up to lamport", "status", "--home", str(where))
            await self._command(0, "certified", "consensus", "status", "--home", str(where))
            await self._command(0, "not re-derived", "dag", "verify", "--home", str(where))
            await self._command(4, "pruned", "dag", "show", self._first, "--home", str(where))
        await self._command(0, "ok:", "replay", f"{guest.home}.1.rec")

    async def _command(self, code: int, text: str, *arguments: str) -> None:
        done = await asyncio.to_thread(_run_command, *arguments)
        shown = done.stdout + done.stderr
        if done.returncode != code or text not in shown:
            self._fail(f"meshnode {' '.join(arguments[:2])}: exit {done.returncode}: {shown}")

    # --- the end ------------------------------------------------------------------------------

    async def _invite(self) -> str:
        return await self._mesh.validators[0].running.remote.invite(uses=100)

    def _list_remotes(self) -> list[RemoteNode]:
        running = [each.running.remote for each in self._mesh.running]
        return [*running, *(guest.remote for guest in self._guests)]

    async def _compare(self, *, then_every_s: float = TALK_EVERY_S) -> None:
        """Let all come to rest: they must hold the same."""
        self._mesh.publish(every_s=0)
        remotes = self._list_remotes()
        try:
            await wait_equal(remotes)
        except TimeoutError:
            self._fail(f"not equal: {[(await each.status()).consensus for each in remotes]}")
        self._mesh.publish(every_s=then_every_s)

    def _end(self) -> None:
        book = self._mesh.book
        lies = [each for each in book.offences if not any(word in each for word in PATIENCE)]
        for problem in (*book.failures, *lies):
            self._fail(problem)

    async def close(self) -> None:
        """End the readers of guests."""
        for guest in self._guests:
            await guest.close()

    def _say(self, phase: str, text: str) -> None:
        self.report.lines.append((phase, text))
        self._tell(f"{phase:<18} {text}, load {os.getloadavg()[0]:.1f}")

    def _fail(self, text: str) -> None:
        self.report.failures.append(text)
        self._tell(f"{'FAILED':<18} {text}")


def _run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MESHNODE_")}
    return subprocess.run(
        [sys.executable, "-m", "meshnode", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
    )


@asynccontextmanager
async def _open(
    report: Report,
    *,
    seats: int = SEATS,
    checkpoint_commits: int = EVERY_COMMITS,
    seed: int,
    tell: Tell,
) -> AsyncIterator[Campaign]:
    parameters = Parameters(gc_commits=EVERY_COMMITS, checkpoint_commits=checkpoint_commits)
    async with open_validators((Place(),) * seats, parameters=parameters, prunes=True) as mesh:
        campaign = Campaign(mesh, report, seed=seed, tell=tell)
        try:
            yield campaign
        except (MeshError, TimeoutError):
            for log in sorted(mesh.crew.folder.glob("*/logs/node.log")):
                tell(f"{log.parent.parent.name}: {log.read_text()[-LOG_SHOWN:]}")
            raise
        finally:
            await campaign.close()


async def run_campaign(*, vertices: int, kills: int, short: bool, seed: int, tell: Tell) -> Report:
    """Run one on fresh meshes."""
    report = Report()
    if short:
        async with _open(report, seats=1, seed=seed, tell=tell) as campaign:
            await campaign.run_short()
        return report
    tell(f"{SEATS} validators, {vertices} notes and more, {kills} kills, seed {seed}")
    async with _open(report, seed=seed, tell=tell) as campaign:
        by_snapshot = await campaign.run(vertices, kills=kills)
    async with _open(report, checkpoint_commits=COMMITS_MAX, seed=seed, tell=tell) as campaign:
        in_full = await campaign.take_in_full(by_snapshot)
    tell(
        f"{'in comparison':<18} by snapshot {in_full.seconds / by_snapshot.seconds:.1f} times as "
        f"fast, with 1/{in_full.size_bytes / by_snapshot.size_bytes:.1f} of the bytes"
    )
    return report


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vertices", type=int, default=2_000, help="notes before the first join")
    parser.add_argument("--kills", type=int, default=5, help="in the middle of a join")
    parser.add_argument("--short", action="store_true", help="one validator, the main road only")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    report = asyncio.run(run_campaign(**vars(arguments), tell=tell))
    tell("FAILED" if report.failures else "ok")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
