"""How vertices spread through simulated meshes: coverage, delays, copies, beside their bounds.

    python -m tests.campaigns.spread                        # every case, 12 minutes of CPU, 4 GB
    python -m tests.campaigns.spread --nodes-max 200 --json
    python -m tests.campaigns.spread --nodes 200 --rate 20 --silent 0.2

Real cores over links of 10 to 50 ms. The load runs twice: first to let the tree settle, then
measured. Where there are more than 200 nodes all have joined long ago, see
`tests.support.aged_mesh`; smaller meshes come up from nothing. A case fails if a bound of it is
missed, or if a vertex does not reach every honest node within 30 s of the end of the load.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from simulations.errors import SimulationFailed, Unreached
from tests.support.spread import Report, Spread

AGED_FROM: Final = 201
COPIES_LIGHT: Final = 1.2
COPIES_HEAVY: Final = 1.75
P99_MS: Final = 450
P99_FAULTY_MS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One mesh under one load, and what may not be exceeded."""

    nodes: int
    rate: float = 2.0
    """Vertices per second."""
    settle_s: float = 25.0
    seconds: float = 10.0
    silent: float = 0.0
    lying: float = 0.0
    copies_max: float | None = None
    p99_max_ms: int | None = None
    seed: int = 1

    @property
    def faults(self) -> str:
        """Who does not take part, in words."""
        shares = [("silent", self.silent), ("lying", self.lying)]
        return ", ".join(f"{share:.0%} {name}" for name, share in shares if share) or "-"


CASES: Final = (
    *(Case(nodes=nodes, copies_max=COPIES_LIGHT) for nodes in (10, 100, 200)),
    Case(nodes=200, rate=20.0, settle_s=10.0, copies_max=COPIES_HEAVY, p99_max_ms=P99_MS),
    Case(nodes=200, rate=100.0, settle_s=5.0, seconds=5.0, copies_max=COPIES_HEAVY),
    Case(nodes=200, rate=20.0, settle_s=10.0, silent=0.2, p99_max_ms=P99_FAULTY_MS),
    Case(nodes=200, rate=20.0, settle_s=10.0, lying=0.2, p99_max_ms=P99_FAULTY_MS),
    Case(nodes=200, rate=20.0, settle_s=10.0, silent=0.5),
    Case(nodes=200, rate=20.0, settle_s=10.0, lying=0.5),
    Case(nodes=1_000, settle_s=15.0, copies_max=COPIES_LIGHT),
    Case(nodes=5_000, settle_s=15.0, seconds=5.0, copies_max=COPIES_LIGHT),
)
"""What is promised, the largest last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a case has shown."""

    case: Case
    report: Report | None
    """None where nothing was published."""
    formed_ms: int
    """Until all were connected and of one mind, before the load."""
    closed_ms: int | None
    """From the end of the load until everything was everywhere; None if that took too long."""
    cpu_s: float

    @property
    def missed(self) -> tuple[str, ...]:
        """The bounds that were not kept."""
        case, report = self.case, self.report
        if report is None or self.closed_ms is None or report.coverage < 1.0:
            return ("coverage",)
        found = []
        if case.copies_max is not None and report.copies > case.copies_max:
            found.append(f"copies <= {case.copies_max}")
        if case.p99_max_ms is not None and report.p99_ms > case.p99_max_ms:
            found.append(f"p99 <= {case.p99_max_ms} ms")
        return tuple(found)


def run(case: Case) -> Result:
    """Let a mesh come up, settle, and be measured. Raises `SimulationFailed`."""
    start_s = time.process_time()
    spread = Spread(
        case.nodes,
        seed=case.seed,
        silent=case.silent,
        lying=case.lying,
        aged=case.nodes >= AGED_FROM,
    )
    formed_ms = spread.form()
    spread.load(case.rate, case.settle_s, measured=False)
    spread.load(case.rate, case.seconds)
    closed_ms: int | None
    try:
        closed_ms = spread.settle()
    except Unreached:
        closed_ms = None
    return Result(
        case=case,
        report=spread.report() if spread.watch.delays else None,
        formed_ms=formed_ms,
        closed_ms=closed_ms,
        cpu_s=round(time.process_time() - start_s, 1),
    )


HEADER: Final = (
    f"{'nodes':>6} {'rate':>5} {'faults':<12}{'coverage':>9}{'copies':>8}"
    f"{'p50':>6}{'p99':>6}{'last':>7} ms{'closed':>8} ms{'control':>9} B{'CPU':>7} s"
)


def show(result: Result) -> str:
    """A line for people."""
    case, report = result.case, result.report
    name = f"{case.nodes:>6,} {case.rate:>5g} {case.faults:<12}"
    if report is None:
        return f"{name} nothing was published"
    closed = "never" if result.closed_ms is None else f"{result.closed_ms:,}"
    return (
        f"{name}{report.coverage:>9.5f}{report.copies:>8.3f}"
        f"{report.p50_ms:>6}{report.p99_ms:>6}{report.last_ms:>7,} ms{closed:>8} ms"
        f"{report.control_bytes:>9,.0f} B{result.cpu_s:>7,.0f} s"
        f"  {'missed: ' + ', '.join(result.missed) if result.missed else 'ok'}"
    )


def make_line(result: Result) -> str:
    """A line for programs."""
    return json.dumps({**asdict(result), "missed": result.missed})


def choose_cases(given: argparse.Namespace) -> tuple[Case, ...]:
    """The one case that was asked for, or all that are not too large."""
    if given.nodes is None:
        return tuple(case for case in CASES if case.nodes <= given.nodes_max)
    return (
        Case(
            nodes=given.nodes,
            rate=given.rate,
            settle_s=given.settle,
            seconds=given.seconds,
            silent=given.silent,
            lying=given.lying,
            seed=given.seed,
        ),
    )


def main() -> int:
    """Run the cases; 1 if a bound was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes-max", type=int, default=5_000, help="leave larger cases out")
    parser.add_argument("--nodes", type=int, help="one case instead, with what follows")
    parser.add_argument("--rate", type=float, default=20.0, help="vertices per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long is measured")
    parser.add_argument("--settle", type=float, default=10.0, help="seconds of load before that")
    parser.add_argument("--silent", type=float, default=0.0, help="share that passes nothing on")
    parser.add_argument("--lying", type=float, default=0.0, help="share that serves nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    given = parser.parse_args()
    if not given.json:
        print(HEADER)
    missed = 0
    for case in choose_cases(given):
        try:
            result = run(case)
        except (SimulationFailed, Unreached) as error:
            print(error, file=sys.stderr)
            return 1
        missed += bool(result.missed)
        print(make_line(result) if given.json else show(result), flush=True)
        gc.collect()  # The next mesh may be a large one.
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
