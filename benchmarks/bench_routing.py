"""Does our router keep its promises, beside the routers of others, and what does a choice cost?

    python -m benchmarks.bench_routing [--trace FILE] [--requests 4000] [--seeds 1] [--json]

Every promise is measured in the simulator (`docs/routing-simulation.md` says how) and printed with its
bound. Without a file the trace is drawn. Choices are timed in CPU time of one core; the rest is
virtual time, and the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._harness import describe_machine, describe_revision
from simulations.serving.faults import KINDS
from simulations.serving.ours import Ours
from simulations.serving.outcome import Figures
from simulations.serving.policies import OURS, SHORT
from simulations.serving.port import Status
from simulations.serving.run import Spec, run
from simulations.serving.synthetic import draw_trace

JOINT_MIN = 0.95
STRAGGLER_MIN = 0.93
HERD_MAX = 1.5
OVERLOAD_MIN = 0.8
LOADS = (1.0, 2.0, 3.0, 4.0)
"""Where the peak of goodput is looked for; 1 is the trace as it is."""
CHOICES = 2_000
WARM = 200


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and where it must lie."""

    name: str
    measured: float
    bound: float | None = None
    is_most: bool = False
    """Whether the bound is an upper one."""

    @property
    def is_met(self) -> bool:
        """Whether it lies where it must."""
        if self.bound is None:
            return True
        return self.measured < self.bound if self.is_most else self.measured >= self.bound

    def describe(self) -> str:
        """A line."""
        text = f"{self.name:46}{self.measured:12,.3f}"
        if self.bound is None:
            return text
        sign = " <" if self.is_most else ">="
        return f"{text}  {sign} {self.bound:.3f}{'' if self.is_met else '  MISSED'}"


class Course:
    """Runs of one trace with several seeds; every figure is a median over them."""

    def __init__(self, trace: str, requests: int, seeds: int) -> None:
        self._common = {"trace": trace, "requests": requests}
        self._seeds = range(seeds)

    def run(self, policy: str, **changes: Any) -> list[Figures]:
        """One policy under some conditions."""
        common = {**self._common, **changes}
        return [run(Spec(policy=policy, seed=seed, **common)) for seed in self._seeds]

    def tell(self, name: str, policy: str, **changes: Any) -> float:
        """The median of one figure."""
        return float(median(getattr(one, name) for one in self.run(policy, **changes)))

    # --- the promises -----------------------------------------------------------------------------

    def compare(self) -> Iterator[Figure]:
        """Goodput beside that of others, with and without a straggler."""
        for fault, least in ((None, JOINT_MIN), ("straggler", STRAGGLER_MIN)):
            suffix = f", {fault}" if fault else ""
            others = {name: self.tell("joint", name, fault=fault) for name in SHORT[1:]}
            for name, joint in others.items():
                yield Figure(f"joint goodput, {name}{suffix}", joint)
            bound = max(least, *others.values())
            ours = self.tell("joint", OURS, fault=fault)
            yield Figure(f"joint goodput, {OURS}{suffix}", ours, bound)

    def herd(self) -> Iterator[Figure]:
        """Two routers that do not know of each other, and eight equal replicas."""
        ratio = self.tell("load_ratio", OURS, routers=2, fleet="alike")
        yield Figure("two routers: busiest replica over mean", ratio, HERD_MAX, is_most=True)

    def overload(self) -> Iterator[Figure]:
        """Twice the load at which goodput peaks, with users who leave when it is too late."""
        rates = {load: self._tell_rate(load) for load in LOADS}
        peak = max(rates, key=rates.__getitem__)
        yield Figure(f"peak goodput, joint answers a second, load {peak:g}", rates[peak])
        share = self._tell_rate(2 * peak) / rates[peak]
        yield Figure("goodput at twice that load, share of it", share, OVERLOAD_MIN)

    def _tell_rate(self, load: float) -> float:
        return self.tell("joint_per_s", OURS, load=load, is_strict=True)

    def fail(self) -> Iterator[Figure]:
        """Everything else that can go wrong."""
        for kind in KINDS:
            if kind == "straggler":
                continue
            runs = self.run(OURS, fault=kind)
            yield Figure(f"joint goodput, {kind}", median(one.joint for one in runs))
            if kind == "rate-limit":
                opened = sum(one.counts.get("breaker", 0) for one in runs)
                yield Figure("breakers seen open, rate-limit", opened, 1, is_most=True)


def time_choices(replicas: int) -> Figure:
    """Microseconds of CPU for a choice, with prompts of a real length."""
    ours = Ours(replicas, random.Random(1))
    for replica in range(replicas):
        ours.on_status(0, replica, Status(1, 32, replica % 9, 0, 1_000, 0.2, 0.0), 50.0)
    requests = draw_trace("chat", WARM).requests
    for number, request in enumerate(requests):
        ours.on_digest(0, number % replicas, request.blocks, ())
    begun_s = time.process_time()
    for number in range(CHOICES):
        ours.choose(100, requests[number % len(requests)], 60_000)
    took_s = time.process_time() - begun_s
    return Figure(f"one choice among {replicas}, us of CPU", took_s / CHOICES * 1e6)


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """All figures, one by one."""
    course = Course(options.trace, options.requests, options.seeds)
    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        "compare": course.compare,
        "herd": course.herd,
        "overload": course.overload,
        "fail": course.fail,
        "choices": lambda: iter([time_choices(8), time_choices(64)]),
    }
    for part in options.only or parts:
        yield from parts[part]()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trace", default="chat", help="a file, or the name of a drawn trace")
    parser.add_argument("--requests", type=int, default=4_000, help="0 for all of a file")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", action="append", help="one part; may be repeated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    figures = []
    for figure in measure(options):
        figures.append(figure)
        if not options.json:
            print(figure.describe(), flush=True)
    if options.json:
        document = {
            "revision": describe_revision(),
            **describe_machine(),
            "trace": Path(options.trace).name,
            "requests": options.requests,
            "seeds": options.seeds,
            "figures": [asdict(figure) | {"is_met": figure.is_met} for figure in figures],
        }
        print(json.dumps(document))


if __name__ == "__main__":
    main()
