"""The way of a vertex into the agreed order: four real validators, every load and none at all.

    python -m benchmarks.bench_consensus [--json] [--validators 4] [--vertices 6000] [--body 256]
        [--loads saturated,light,asleep,idle]

Publish, sign, journal, push, check, admit, reference by blocks, commit, deliver: a vertex counts
once every validator's application has been told its place. The floor of a run is the signatures
that it needs (one, and a check by each other validator, of every vertex and of every block), timed
in the same processes. What each figure means: METHODOLOGY.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._harness import (
    Load,
    Report,
    Sample,
    Workers,
    describe_machine,
    describe_revision,
    quantile,
)
from benchmarks.peers.mesh import OVERHEAD_BYTES, MeshConfig
from benchmarks.peers.order import run_order_peer
from dag.crypto import get_signature_bytes

LOADS = ("idle", "asleep", "light", "saturated")
LEAD_S = 0.3
SETTLE_S = 3.0
"""For what was said before: the profiles at least are to be put in order."""
STEADY = (0.15, 0.85)
"""The part of a saturating load whose rate is taken, of its vertices."""
RATE_TARGET = 300.0
P50_TARGET_MS = 200.0
P99_TARGET_MS = 400.0
IDLE_CPU_TARGET = 0.01
IDLE_BYTES_TARGET = 1_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured."""

    validators: int = 4
    vertices: int = 6_000
    """Of the saturating load, by all validators together."""
    body: int = 256
    window: int = 160
    """Vertices of each validator that are not delivered yet: fewer leave cores idle."""
    light_vertices: int = 300
    light_rate: float = 20.0
    """Vertices per second, by all validators together: more than one per commit never rests."""
    asleep_vertices: int = 16
    asleep_rate: float = 0.5
    """So few that the mesh has come to rest before the next."""
    idle_s: float = 60.0
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One load."""

    load: str
    published: int
    delivered: int
    """How many of them everybody was told the place of."""
    rate_per_s: float
    """Delivered at the slowest validator, over the steady part of the load."""
    own_p50_ms: float
    own_p99_ms: float
    """From publishing to the delivery at the publisher."""
    all_p50_ms: float
    all_p99_ms: float
    """To the delivery at the last validator."""
    cpu_us: float
    """User and system time of all processes per vertex delivered."""
    floor_us: float
    """CPU of the signatures needed, of vertices and blocks, per vertex delivered."""
    floor_rate_per_s: float
    """Vertices per second if the machine's cores did nothing else."""
    blocks: float
    """Per second, of all validators."""
    vertices_per_block: float
    blocks_per_commit: float
    sent_bytes: float
    """Handed to TCP by all, per vertex delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFigures:
    """Nothing is said; per validator, mean."""

    load: str
    seconds: float
    cpu_share: float
    """Of one core."""
    sent_bytes_per_s: float
    blocks: int


class Bench:
    """Runs loads on one mesh and keeps what was delivered before."""

    def __init__(self, workers: Workers, settings: Settings) -> None:
        self._workers = workers
        self._settings = settings
        self._expected = 0
        self._signature_us = sum(workers.ask("calibrate")) / len(workers) * 1e6

    def run(self, name: str) -> Figures | IdleFigures:
        """One of the loads."""
        settings = self._settings
        if name == "idle":
            return self._rest(settings.idle_s)
        count, rate = {
            "saturated": (settings.vertices, 0.0),
            "light": (settings.light_vertices, settings.light_rate),
            "asleep": (settings.asleep_vertices, settings.asleep_rate),
        }[name]
        return self._load(name, count, rate)

    def _rest(self, seconds: float) -> IdleFigures:
        count = len(self._workers)
        time.sleep(SETTLE_S)
        before = self._workers.ask("sample")
        time.sleep(seconds)
        after = self._workers.ask("sample")
        total = subtract(before, after)
        return IdleFigures(
            load="idle",
            seconds=seconds,
            cpu_share=total.cpu_s / seconds / count,
            sent_bytes_per_s=total.sent_bytes / seconds / count,
            blocks=total.counters["blocks"] // count,
        )

    def _load(self, name: str, count: int, rate: float) -> Figures:
        settings, validators = self._settings, len(self._workers)
        each = max(1, count // validators)
        self._expected += each * validators
        begin_s = time.monotonic() + LEAD_S
        interval_s = validators / rate if rate else 0.0
        loads = [
            Load(
                count=each,
                expected=self._expected,
                begin_s=begin_s,
                timeout_s=settings.timeout_s,
                window=settings.window,
                interval_s=interval_s,
                offset_s=interval_s * number / validators,
            )
            for number in range(validators)
        ]
        before = self._workers.ask("sample")
        reports = self._workers.ask(*loads, timeout_s=settings.timeout_s)
        after = self._workers.ask("sample")
        return compute(name, reports, subtract(before, after), self._signature_us)


def subtract(before: Sequence[Sample], after: Sequence[Sample]) -> Sample:
    """What all processes together did between two moments."""
    counters = {
        name: sum(
            new.counters.get(name, 0) - old.counters.get(name, 0)
            for old, new in zip(before, after, strict=True)
        )
        for name in after[0].counters
    }
    return Sample(
        sum(sample.cpu_s for sample in after) - sum(sample.cpu_s for sample in before),
        sum(sample.sent_bytes for sample in after) - sum(sample.sent_bytes for sample in before),
        counters,
    )


def compute(name: str, reports: list[Report], total: Sample, signature_us: float) -> Figures:
    """Figures of one load. `signature_us`: of one signature and its checks by all others."""
    published = {key: at for report in reports for key, at in report.published.items()}
    delivered = {
        key: max(report.held[key] for report in reports)
        for key in published
        if all(key in report.held for report in reports)
    }
    own_ms = [
        (report.held[key] - at) * 1e3
        for report in reports
        for key, at in report.published.items()
        if key in report.held
    ]
    all_ms = [(at - published[key]) * 1e3 for key, at in delivered.items()]
    count, blocks = max(1, len(delivered)), total.counters["blocks"] / len(reports)
    commits = max(1, total.counters["commits"] / len(reports))
    floor_us = signature_us * (count + blocks) / count
    took_s = max(delivered.values(), default=0.0) - min(published.values())
    return Figures(
        load=name,
        published=len(published),
        delivered=len(delivered),
        rate_per_s=compute_rate(sorted(delivered.values())),
        own_p50_ms=quantile(own_ms, 0.5),
        own_p99_ms=quantile(own_ms, 0.99),
        all_p50_ms=quantile(all_ms, 0.5),
        all_p99_ms=quantile(all_ms, 0.99),
        cpu_us=total.cpu_s * 1e6 / count,
        floor_us=floor_us,
        floor_rate_per_s=(os.cpu_count() or 1) * 1e6 / floor_us,
        blocks=blocks / took_s,
        vertices_per_block=count / max(1.0, blocks),
        blocks_per_commit=blocks / commits,
        sent_bytes=total.sent_bytes / count,
    )


def compute_rate(times_s: Sequence[float]) -> float:
    """Deliveries per second over the steady part; the times ascend."""
    first, last = (int(share * (len(times_s) - 1)) for share in STEADY)
    if last <= first or times_s[last] <= times_s[first]:
        return 0.0
    return (last - first) / (times_s[last] - times_s[first])


def measure(settings: Settings, loads: Sequence[str]) -> Iterator[Figures | IdleFigures]:
    """Every load on one mesh of validators."""
    size = settings.body + OVERHEAD_BYTES + get_signature_bytes("hybrid")
    with tempfile.TemporaryDirectory(prefix="bench-consensus-") as folder:
        configs = [
            MeshConfig(
                number=number,
                peers=settings.validators,
                vertex_bytes=size,
                folder=str(Path(folder) / f"validator-{number}"),
                suite="hybrid",
                verify=True,
            )
            for number in range(settings.validators)
        ]
        with Workers(run_order_peer, configs) as workers:
            bench = Bench(workers, settings)
            for load in loads:
                yield bench.run(load)


def compare(figures: Sequence[Figures | IdleFigures]) -> Iterator[dict[str, object]]:
    """The targets."""
    for item in figures:
        if isinstance(item, IdleFigures):
            yield _target("idle_cpu_share", item.cpu_share, IDLE_CPU_TARGET, at_most=True)
            yield _target(
                "idle_bytes_per_s", item.sent_bytes_per_s, IDLE_BYTES_TARGET, at_most=True
            )
        elif item.load == "light":
            yield _target("light_all_p50_ms", item.all_p50_ms, P50_TARGET_MS, at_most=True)
            yield _target("light_all_p99_ms", item.all_p99_ms, P99_TARGET_MS, at_most=True)
        elif item.load == "saturated":
            yield _target("rate_per_s", item.rate_per_s, RATE_TARGET)


def _target(name: str, value: float, bound: float, *, at_most: bool = False) -> dict[str, object]:
    met = value <= bound if at_most else value >= bound
    return {"target": name, "value": round(value, 3), "bound": bound, "met": met}


def show(item: Figures | IdleFigures) -> str:
    """One line for people."""
    if isinstance(item, IdleFigures):
        return (
            f"{item.load:9} {item.seconds:.0f} s  CPU {item.cpu_share:.2%} of a core"
            f"  sent {item.sent_bytes_per_s:.0f} B/s  blocks {item.blocks}"
        )
    return (
        f"{item.load:9} {item.delivered:5}/{item.published:<5} {item.rate_per_s:5.0f}/s"
        f" (floor {item.floor_rate_per_s:.0f}/s)"
        f"  own p50 {item.own_p50_ms:.0f} p99 {item.own_p99_ms:.0f}"
        f"  all p50 {item.all_p50_ms:.0f} p99 {item.all_p99_ms:.0f} ms"
        f"  CPU {item.cpu_us:.0f} us = {item.cpu_us / item.floor_us:.2f} x floor"
        f"  blocks {item.blocks:.0f}/s of {item.vertices_per_block:.1f}"
        f"  {item.sent_bytes:.0f} B"
    )


def main() -> None:
    """Measure and print."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--validators", type=int, default=defaults.validators)
    parser.add_argument("--vertices", type=int, default=defaults.vertices)
    parser.add_argument("--body", type=int, default=defaults.body, help="bytes of a vertex's body")
    parser.add_argument("--window", type=int, default=defaults.window)
    parser.add_argument("--light-vertices", type=int, default=defaults.light_vertices)
    parser.add_argument("--light-rate", type=float, default=defaults.light_rate)
    parser.add_argument("--asleep-vertices", type=int, default=defaults.asleep_vertices)
    parser.add_argument("--asleep-rate", type=float, default=defaults.asleep_rate)
    parser.add_argument("--idle", type=float, default=defaults.idle_s, help="seconds")
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    settings = Settings(
        validators=options.validators,
        vertices=options.vertices,
        body=options.body,
        window=options.window,
        light_vertices=options.light_vertices,
        light_rate=options.light_rate,
        asleep_vertices=options.asleep_vertices,
        asleep_rate=options.asleep_rate,
        idle_s=options.idle,
    )
    place = {"revision": describe_revision(), "machine": describe_machine()}
    results: list[Figures | IdleFigures] = []
    for item in measure(settings, options.loads.split(",")):
        results.append(item)
        line = {"benchmark": "consensus", **asdict(item), "settings": asdict(settings), **place}
        print(json.dumps(line) if options.json else show(item), flush=True)
    for target in compare(results):
        if options.json:
            print(json.dumps({"benchmark": "consensus", **target, **place}))
        else:
            sign = "met" if target["met"] else "MISSED"
            print(f"{target['target']:18} {target['value']:8} of {target['bound']}  {sign}")


if __name__ == "__main__":
    main()
