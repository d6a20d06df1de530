"""Four real validators under load: killed, stopped and started again, and what they told meanwhile.

async with open_validators() as mesh:
    mesh.publish(every_s=0.2)
    await mesh.kill(mesh.validators[2])
    await mesh.start(mesh.validators[2])
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dag.genesis import Genesis, Parameters, Suite
from meshnode.demo.processes import Crew, DemoNode, open_crew
from meshnode.errors import MeshError
from meshnode.views import NodeStatus
from tests.support.committee import Place, Seat, make_committee
from tests.support.daemons import find_daemons, kill, wait_connected
from tests.support.order_book import OrderBook

SEATS = 4
POLL_S = 0.05
STOP_S = 30.0
END_S = 120.0

Start = Callable[[Crew, Seat], Coroutine[Any, Any, DemoNode]]
"""Runs a seat's process, and waits until it is ready."""


@dataclass(eq=False)
class Validator:
    """One seat, over all its lives."""

    seat: Seat
    node: DemoNode | None = None
    follower: asyncio.Task[None] | None = None
    publisher: asyncio.Task[None] | None = None
    acknowledged: dict[str, float] = field(default_factory=dict)
    """Vertices that `publish` returned, with the time they were submitted."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.seat.name

    @property
    def running(self) -> DemoNode:
        """Its process, which must be there."""
        assert self.node is not None, f"{self.name} does not run"
        return self.node

    async def status(self) -> NodeStatus:
        """What its process says of itself."""
        return await self.running.remote.status()


class ValidatorMesh:
    """All seats, what they have promised and what they told."""

    def __init__(self, crew: Crew, genesis: Genesis, seats: Sequence[Seat], start: Start) -> None:
        self.genesis = genesis
        self.validators = [Validator(seat) for seat in seats]
        self.book = OrderBook()
        self.crew = crew
        """For further nodes."""
        self._start = start
        self._every_s = 0.0

    @property
    def acknowledged(self) -> dict[str, float]:
        """Every vertex somebody promised to keep."""
        return {
            vertex: submitted_s
            for validator in self.validators
            for vertex, submitted_s in validator.acknowledged.items()
        }

    @property
    def running(self) -> list[Validator]:
        """Who has a process, stopped ones included."""
        return [validator for validator in self.validators if validator.node is not None]

    # --- lives --------------------------------------------------------------------------------

    async def start(self, validator: Validator) -> None:
        """Begin a life; returns when the process says that it is ready."""
        assert validator.node is None, f"{validator.name} runs already"
        validator.node = node = await self._start(self.crew, validator.seat)
        validator.follower = asyncio.create_task(self.book.follow(validator.name, node.remote))
        self._load(validator)

    async def kill(self, validator: Validator) -> None:
        """End a life as a power cut does."""
        await asyncio.to_thread(kill, validator.running)
        await self._bury(validator)

    async def kill_at_start(self, validator: Validator, *, after_s: float) -> None:
        """Begin a life, and end it soon, most likely before it is ready."""
        assert validator.node is None, f"{validator.name} runs already"
        starting = asyncio.create_task(self._start(self.crew, validator.seat))
        await asyncio.wait([starting], timeout=after_s)
        while not starting.done():
            for pid in find_daemons(validator.seat.home.path):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.wait([starting], timeout=POLL_S)
        with suppress(MeshError):
            node = await starting  # it was ready already
            await asyncio.to_thread(kill, node)
            await node.remote.close()

    async def terminate(self, validator: Validator) -> None:
        """End a life as an operator does."""
        process = validator.running.spawned.process
        process.terminate()
        await asyncio.to_thread(process.wait, STOP_S)
        await self._bury(validator)

    async def _bury(self, validator: Validator) -> None:
        assert validator.follower is not None
        await validator.running.remote.close()
        await _end(validator.follower, validator.publisher)
        validator.node = validator.follower = validator.publisher = None

    def pause(self, validator: Validator) -> None:
        """Take the processor away from a process; its connections stay."""
        os.kill(validator.running.spawned.pid, signal.SIGSTOP)

    def resume(self, validator: Validator) -> None:
        """Give it back."""
        os.kill(validator.running.spawned.pid, signal.SIGCONT)

    async def close(self) -> None:
        """End readers and writers; the crew ends the processes."""
        for validator in self.running:
            await _end(validator.follower, validator.publisher)

    # --- load ---------------------------------------------------------------------------------

    def publish(self, *, every_s: float) -> None:
        """From now on every validator that runs publishes small notes; none with 0."""
        self._every_s = every_s
        for validator in self.running:
            self._load(validator)

    def _load(self, validator: Validator) -> None:
        if validator.publisher is None:
            validator.publisher = asyncio.create_task(self._publish(validator))

    async def _publish(self, validator: Validator) -> None:
        number = len(validator.acknowledged)
        while True:
            await asyncio.sleep(self._every_s or POLL_S)
            if self._every_s:
                number += 1
                await self.publish_one(validator, f"{validator.name} {number} {'.' * 64}")

    async def publish_one(self, validator: Validator, text: str) -> str | None:
        """Publish a note; its id, or None where that was refused, or nobody was there to ask."""
        submitted_s = time.monotonic()
        try:
            info = await validator.running.remote.publish(text)
        except MeshError:
            return None
        validator.acknowledged[info.id] = submitted_s
        return info.id

    def list_latencies(self, *, since_s: float, until_s: float) -> list[float]:
        """From submission to the same node's word that it is final, in seconds.

        Of what was submitted in this span; infinite where that word has not come.
        """
        return [
            self.book.finals.get(vertex, {}).get(validator.name, float("inf")) - submitted_s
            for validator in self.validators
            for vertex, submitted_s in validator.acknowledged.items()
            if since_s <= submitted_s < until_s
        ]

    # --- the end ------------------------------------------------------------------------------

    async def settle(self, *, timeout_s: float = END_S) -> float:
        """Until nobody holds anything that is not final, and all stand at the same commit.

        Answers how long it took, in seconds. Raises `TimeoutError`.
        """
        self.publish(every_s=0)
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            await wait_connected([validator.running for validator in self.running])
            while not await self._is_settled():  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        return time.monotonic() - began_s

    async def _is_settled(self) -> bool:
        digests: dict[str, None] = {}
        for validator in self.running:
            order = (await validator.status()).consensus
            if order is None or order.waiting:
                return False
            if self.book.heights.get(validator.name, 0) != order.commit_index:
                return False  # readers of its events are a moment behind
            digests[order.commit_digest] = None
        return len(digests) == 1


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    for task in tasks:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def start_here(crew: Crew, seat: Seat) -> DemoNode:
    """Run a seat's process on this host."""
    return await seat.start(crew)


@asynccontextmanager
async def open_validators(
    places: Sequence[Place] = (Place(),) * SEATS,
    *,
    start: Start = start_here,
    suite: Suite = "hybrid",
    parameters: Parameters | None = None,
    prunes: bool = False,
) -> AsyncIterator[ValidatorMesh]:
    """A mesh in which every node has one vote, all of them running and connected."""
    with tempfile.TemporaryDirectory(
        prefix="meshnode-campaign-", ignore_cleanup_errors=True
    ) as folder:
        async with open_crew(Path(folder) / "homes") as crew:
            make = partial(make_committee, suite=suite, parameters=parameters, prunes=prunes)
            genesis, seats = await asyncio.to_thread(make, crew.folder, places)
            mesh = ValidatorMesh(crew, genesis, seats, start)
            try:
                await asyncio.gather(*(mesh.start(each) for each in mesh.validators))
                await wait_connected([each.running for each in mesh.validators])
                yield mesh
            finally:
                await mesh.close()
