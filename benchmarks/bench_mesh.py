"""The whole path of a vertex through four real processes, and gossipsub beside it.

    python benchmarks/bench_mesh.py [--json] [--vertices 4000] [--size 5000] [--systems mesh,gossipsub]

Publish, sign, journal, push, check, admit, journal: every peer publishes vertices, and the figures
are about those that all peers hold durably. Each system runs twice, with signatures verified and
without, and each run has a light load (for the time to all peers) and a saturating one (for the
rate). What each figure means and what stood in the way of a fair comparison: METHODOLOGY.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
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

SYSTEMS = ("mesh", "gossipsub")
LEAD_S = 0.3
"""Between the command and the moment when every peer begins."""
CPU_TARGET = 2.5
WIRE_TARGET = 1.1
RATE_TARGETS = {True: 2.0, False: 10.0}
"""How many times gossipsub's rate, with verification on and off in both."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured."""

    peers: int = 4
    vertices: int = 4_000
    """Of the saturating load, by all peers together."""
    size: int = 5_000
    window: int = 64
    light_vertices: int = 400
    light_rate: float = 40.0
    """Messages per second of the light load, by all peers together."""
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One load on one system."""

    system: str
    verify: bool
    load: str
    published: int
    complete: int
    """How many of them every peer held in the end."""
    rate_per_s: float
    time_to_all_p50_ms: float
    time_to_all_p99_ms: float
    cpu_per_message_us: float
    """User and system time of all processes together."""
    signature_us: float
    """CPU of one signature and of the verifications by all other peers, measured in these
    processes while all of them do the same."""
    cpu_ratio: float | None
    """The two above; none where nothing is verified."""
    wire_ratio: float
    """Bytes handed to TCP by all, per byte of a unique message and peer that needed it."""
    counters: dict[str, int] = field(default_factory=dict)


class Bench:
    """Runs the loads of one system and keeps what its peers held before."""

    def __init__(self, system: str, workers: Workers, settings: Settings, *, verify: bool) -> None:
        self._system = system
        self._workers = workers
        self._settings = settings
        self._verify = verify
        self._expected = 0
        self._signature_s = max(1e-9, sum(workers.ask("calibrate")) / settings.peers)

    def run(self, name: str, count: int, rate: float) -> Figures:
        """Give every peer its part of `count` messages; `rate` 0 saturates."""
        peers = self._settings.peers
        each = max(1, count // peers)
        self._expected += each * peers
        begin_s = time.monotonic() + LEAD_S
        interval_s = peers / rate if rate else 0.0
        loads = [
            Load(
                count=each,
                expected=self._expected,
                begin_s=begin_s,
                timeout_s=self._settings.timeout_s,
                window=self._settings.window,
                interval_s=interval_s,
                offset_s=interval_s * number / peers,
            )
            for number in range(peers)
        ]
        before = self._workers.ask("sample")
        reports = self._workers.ask(*loads, timeout_s=self._settings.timeout_s)
        after = self._workers.ask("sample")
        return self._compute(name, reports, before, after)

    def _compute(
        self, name: str, reports: list[Report], before: list[Sample], after: list[Sample]
    ) -> Figures:
        began = {key: at for report in reports for key, at in report.published.items()}
        sizes = {key: size for report in reports for key, size in report.sizes.items()}
        done = {
            key: max(report.held[key] for report in reports)
            for key in began
            if all(key in report.held for report in reports)
        }
        took_s = max(done.values(), default=0.0) - min(began.values())
        delays_ms = [(at - began[key]) * 1e3 for key, at in done.items()]
        cpu_us = _difference(before, after, lambda sample: sample.cpu_s) * 1e6 / max(1, len(done))
        needed_bytes = sum(sizes.values()) * (len(reports) - 1)
        sent_bytes = _difference(before, after, lambda sample: sample.sent_bytes)
        signature_us = self._signature_s * 1e6
        return Figures(
            system=self._system,
            verify=self._verify,
            load=name,
            published=len(began),
            complete=len(done),
            rate_per_s=len(done) / took_s if done else 0.0,
            time_to_all_p50_ms=quantile(delays_ms, 0.5),
            time_to_all_p99_ms=quantile(delays_ms, 0.99),
            cpu_per_message_us=cpu_us,
            signature_us=signature_us,
            cpu_ratio=cpu_us / signature_us if self._verify else None,
            wire_ratio=sent_bytes / needed_bytes,
            counters=_count(before, after),
        )


def _difference(
    before: Sequence[Sample], after: Sequence[Sample], value: Callable[[Sample], float]
) -> float:
    return sum(map(value, after)) - sum(map(value, before))


def _count(before: Sequence[Sample], after: Sequence[Sample]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for sample in after:
        counts.update(sample.counters)
    for sample in before:
        counts.subtract(sample.counters)
    return {name: count for name, count in sorted(counts.items()) if count}


def start_mesh(settings: Settings, folder: Path, *, verify: bool) -> Workers:
    """Meshnode peers. Without verification they sign with Ed25519 alone, the least they can do."""
    from benchmarks.peers.mesh import MeshConfig, run_mesh_peer

    return Workers(
        run_mesh_peer,
        [
            MeshConfig(
                number=number,
                peers=settings.peers,
                vertex_bytes=settings.size,
                folder=str(folder / f"peer-{number}"),
                suite="hybrid" if verify else "ed25519",
                verify=verify,
            )
            for number in range(settings.peers)
        ],
    )


def start_gossipsub(settings: Settings, _folder: Path, *, verify: bool) -> Workers:
    """Peers of py-libp2p's gossipsub. Without verification they do not sign either."""
    from benchmarks.peers.gossipsub import GossipConfig, run_gossip_peer

    return Workers(
        run_gossip_peer,
        [
            GossipConfig(number + 1, settings.peers, settings.size, verify)
            for number in range(settings.peers)
        ],
    )


def measure(
    settings: Settings, systems: Sequence[str], verify: Sequence[bool]
) -> Iterator[Figures]:
    """Every system under every load; gossipsub gets a quarter of the messages, it is slow."""
    starters = {"mesh": start_mesh, "gossipsub": start_gossipsub}
    for verified in verify:
        for system in systems:
            share = 1 if system == "mesh" else 4
            with (
                tempfile.TemporaryDirectory(prefix="bench-mesh-") as folder,
                starters[system](settings, Path(folder), verify=verified) as workers,
            ):
                bench = Bench(system, workers, settings, verify=verified)
                yield bench.run("light", settings.light_vertices // share, settings.light_rate)
                yield bench.run("saturated", settings.vertices // share, 0.0)


def compare(figures: Sequence[Figures]) -> Iterator[dict[str, object]]:
    """The targets, as ratios."""
    rates = {(item.system, item.verify): item for item in figures if item.load == "saturated"}
    for (system, verify), item in rates.items():
        if system != "mesh":
            continue
        if item.cpu_ratio is not None:
            yield _target("cpu_over_signatures", item.cpu_ratio, CPU_TARGET, at_most=True)
            yield _target("wire_over_unique_bytes", item.wire_ratio, WIRE_TARGET, at_most=True)
        other = rates.get(("gossipsub", verify))
        if other is not None and other.rate_per_s:
            name = f"rate_over_gossipsub_{'verified' if verify else 'unverified'}"
            yield _target(name, item.rate_per_s / other.rate_per_s, RATE_TARGETS[verify])


def _target(name: str, value: float, target: float, *, at_most: bool = False) -> dict[str, object]:
    met = value <= target if at_most else value >= target
    return {"target": name, "ratio": round(value, 3), "bound": target, "met": met}


def show(item: Figures) -> str:
    """One line for people."""
    ratio = "" if item.cpu_ratio is None else f" = {item.cpu_ratio:.2f} x signatures"
    return (
        f"{item.system:10} verify {'on ' if item.verify else 'off'} {item.load:9}"
        f" {item.complete:5}/{item.published:<5} {item.rate_per_s:7.0f}/s"
        f"  to all p50 {item.time_to_all_p50_ms:7.1f} p99 {item.time_to_all_p99_ms:7.1f} ms"
        f"  wire {item.wire_ratio:5.3f}  CPU {item.cpu_per_message_us:6.0f} us{ratio}"
    )


def main() -> None:
    """Measure and print."""
    defaults = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--peers", type=int, default=defaults.peers)
    parser.add_argument("--vertices", type=int, default=defaults.vertices)
    parser.add_argument("--size", type=int, default=defaults.size, help="bytes of a signed vertex")
    parser.add_argument("--window", type=int, default=defaults.window, help="under way per peer")
    parser.add_argument("--light-vertices", type=int, default=defaults.light_vertices)
    parser.add_argument("--light-rate", type=float, default=defaults.light_rate)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--verify", choices=("both", "on", "off"), default="both")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    options = parser.parse_args()
    settings = Settings(
        peers=options.peers,
        vertices=options.vertices,
        size=options.size,
        window=options.window,
        light_vertices=options.light_vertices,
        light_rate=options.light_rate,
    )
    verify = {"both": (True, False), "on": (True,), "off": (False,)}[options.verify]
    place = {"revision": describe_revision(), "machine": describe_machine()}
    results: list[Figures] = []
    for item in measure(settings, options.systems.split(","), verify):
        results.append(item)
        line = {"benchmark": "mesh", **asdict(item), "settings": asdict(settings), **place}
        print(json.dumps(line) if options.json else show(item), flush=True)
    for target in compare(results):
        if options.json:
            print(json.dumps({"benchmark": "mesh", **target, **place}))
        else:
            sign = "met" if target["met"] else "MISSED"
            print(f"{target['target']:32} {target['ratio']:8} of {target['bound']}  {sign}")


if __name__ == "__main__":
    main()
