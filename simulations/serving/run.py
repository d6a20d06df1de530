"""A run from its description: everything is drawn from its seed, and two runs of one seed are one.

Two runs of one seed that differ in the policy have the same requests at the same routers, the same
replicas at the same distances, and the same faults: they may be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.door import FIRST_TOKEN_MS, PROBE_MS, Door
from simulations.serving.engine import EngineSpec
from simulations.serving.faults import SLOWDOWN, Fault, Kind, plan_faults
from simulations.serving.fleet import FleetName, Paths, make_fleet, make_paths
from simulations.serving.measures import LoadWindows, compute_figures
from simulations.serving.outcome import Figures, Outcome
from simulations.serving.policies import find_policy
from simulations.serving.port import PolicyMaker
from simulations.serving.replica import Replica
from simulations.serving.synthetic import SHAPES, draw_trace
from simulations.serving.traces import Trace, load_trace
from simulations.serving.wire import Wire
from simulations.streams import Streams

DRAIN_MS: Final = 10_000
"""A run goes on after the last request while anybody waits, in steps of this."""
DRAINS_MAX: Final = 66
WARM_UP_MS: Final = 2_000
"""Routers have heard of every replica before the first user comes."""
DIGEST_MS: Final = 15_000
SYNTHETIC_REQUESTS: Final = 6_000


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What is simulated."""

    policy: str
    trace: str
    """A name of `SHAPES`, or the path of a file."""
    seed: int = 0
    fleet: FleetName = "mixed"
    replicas: int = 8
    routers: int = 6
    load: float = 1.0
    """How often the trace's rate."""
    fault: Kind | None = None
    slowdown: float = SLOWDOWN
    requests: int = 0
    """At most so many of the trace; 0 for all."""
    digest_ms: int = DIGEST_MS
    is_chunked: bool = False
    is_strict: bool = False
    """Whether users leave when an answer is late; else they wait a minute."""


@lru_cache(maxsize=4)
def _find_trace(name: str, requests: int) -> Trace:
    if name in SHAPES:
        return draw_trace(name, requests or SYNTHETIC_REQUESTS)
    trace = load_trace(Path(name))
    return trace.cut(requests) if requests else trace


def run(spec: Spec) -> Figures:
    """Carry out a run."""
    streams = Streams(spec.seed)
    trace = _find_trace(spec.trace, spec.requests).compress(spec.load)
    faults: tuple[Fault, ...] = ()
    if spec.fault is not None:
        faults = plan_faults(spec.fault, spec.replicas, spec.routers, streams, factor=spec.slowdown)
    world = ServingWorld(
        trace,
        make_fleet(spec.fleet, spec.replicas, streams, is_chunked=spec.is_chunked),
        make_paths(spec.routers, spec.replicas, streams),
        find_policy(spec.policy),
        streams,
        faults=faults,
        digest_ms=spec.digest_ms,
        patience_ms=None if spec.is_strict else FIRST_TOKEN_MS,
    )
    world.run()
    return world.tell_figures()


class ServingWorld:
    """Routers, replicas and what lies between them."""

    def __init__(
        self,
        trace: Trace,
        fleet: Sequence[EngineSpec],
        paths: Paths,
        make_policy: PolicyMaker,
        streams: Streams,
        *,
        faults: Sequence[Fault] = (),
        digest_ms: int = DIGEST_MS,
        patience_ms: int | None = FIRST_TOKEN_MS,
        is_open: bool = False,
    ) -> None:
        """`is_open` takes every limit off the replicas' queues, as textbooks do."""
        self.kernel = Kernel(traced=False)
        self.trace = trace
        self.outcomes: list[Outcome] = []
        self._streams = streams
        self._digest_ms = digest_ms
        self._wire = Wire(self.kernel, paths, streams.get("wire"))
        self.replicas = [
            Replica(
                self.kernel,
                number,
                spec,
                self._wire,
                streams.get(f"replica/{number}"),
                is_open=is_open,
            )
            for number, spec in enumerate(fleet)
        ]
        self.doors = [
            Door(
                self.kernel,
                number,
                make_policy(len(fleet), streams.get(f"policy/{number}")),
                self._wire,
                self.replicas,
                record=self.outcomes.append,
                patience_ms=patience_ms,
            )
            for number in range(len(paths.rtt_ms))
        ]
        self._windows = LoadWindows(self.replicas)
        self._is_over = False
        self._begin()
        for fault in faults:
            self._schedule(fault)

    # --- before it starts -------------------------------------------------------------------------

    def _begin(self) -> None:
        """All requests at routers drawn for them, probes and digests staggered."""
        stream = self._streams.get("arrivals")
        at = self.kernel.at
        for request in self.trace.requests:
            door = self.doors[int(stream.random() * len(self.doors))]
            at((request.at_ms + WARM_UP_MS) * NS_PER_MS, door.ask, request)
        for number, door in enumerate(self.doors):
            at(number * PROBE_MS * NS_PER_MS // len(self.doors), door.probe)
        for number, replica in enumerate(self.replicas):
            at(number * self._digest_ms * NS_PER_MS // len(self.replicas), self._publish, replica)
        at(WARM_UP_MS * NS_PER_MS, self._sample)

    def _schedule(self, fault: Fault) -> None:
        begin_ms = WARM_UP_MS + round(fault.begin * self.trace.duration_ms)
        end_ms = WARM_UP_MS + round(fault.end * self.trace.duration_ms)
        self.kernel.at(begin_ms * NS_PER_MS, self._switch, fault, True)
        self.kernel.at(end_ms * NS_PER_MS, self._switch, fault, False)

    def _switch(self, fault: Fault, on: bool) -> None:  # noqa: FBT001 - handed through the kernel
        for number in fault.replicas:
            replica = self.replicas[number]
            match fault.kind:
                case "straggler":
                    replica.engine.set_slowdown(fault.factor if on else 1.0)
                case "killed":
                    replica.die() if on else replica.revive()
                case "rate-limit":
                    replica.is_limited, replica.quota_domain = on, "quota"
                case "rubbish":
                    replica.is_rubbish = on
                case "partition":
                    for router in fault.routers:
                        switch = self._wire.cut if on else self._wire.heal
                        switch(router, number)

    # --- while it goes on -------------------------------------------------------------------------

    def _publish(self, replica: Replica) -> None:
        """Tell all routers what changed in a cache."""
        added, removed = replica.engine.cache.take_changes()
        if not replica.is_dead and (added or removed):
            for door in self.doors:
                hear: Callable[..., None] = door.hear_digest
                self._wire.to_router(
                    door.number, replica.number, hear, replica.number, added, removed
                )
        if not self._is_over:
            self.kernel.after(self._digest_ms * NS_PER_MS, self._publish, replica)

    def _sample(self) -> None:
        self._windows.sample()
        if not self._is_over:
            self.kernel.after(self._windows.WINDOW_MS * NS_PER_MS, self._sample)

    def run(self) -> None:
        """Go through the trace, and on until everybody has an answer or patience ends."""
        end_ms = WARM_UP_MS + self.trace.duration_ms
        for _ in range(DRAINS_MAX):
            end_ms += DRAIN_MS
            self.kernel.run(end_ms * NS_PER_MS)
            if all(door.is_idle for door in self.doors):
                break
        self._is_over = True
        for door in self.doors:
            door.close()

    def tell_figures(self) -> Figures:
        """What it comes to; a run must be over."""
        return compute_figures(
            self.outcomes,
            self.replicas,
            self._windows,
            [door.policy.count() for door in self.doors],
            duration_ms=self.trace.duration_ms,
            events=self.kernel.events,
        )
