"""`fuzz`: meshes under faults, and every promise checked."""

from __future__ import annotations

import time
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.commands.console import (
    BROKEN,
    CLEAN,
    INTERRUPTED,
    make_progress,
    note,
    say,
    write,
    write_json,
)
from simulations.commands.options import add_command, add_first_seed, add_workers, positive
from simulations.fidelity import FIDELITIES
from simulations.fuzzing.campaign import Results, Summary, run_all, select
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import draw_spec, save_spec
from simulations.sweeps.choice import default_workers

if TYPE_CHECKING:
    from rich.progress import Progress

    from simulations.commands.options import Commands
    from simulations.fuzzing.spec import Spec

FAILURES_SAVED_MAX: Final = 20


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "fuzz",
        says="run meshes under faults, and check every promise",
        more="A failed run saves its plan, which `shrink` and `replay` read.",
        examples=("fuzz --seeds 60", "fuzz --seeds 10000 --results fuzz.jsonl"),
    )
    parser.add_argument("--seeds", type=positive, default=100, metavar="N", help="how many (100)")
    add_first_seed(parser)
    parser.add_argument(
        "--fidelity", choices=FIDELITIES, default="objects", help="how much is done (objects)"
    )
    parser.add_argument(
        "--mutant", choices=MUTANTS, default="", metavar="NAME", help="switch a seeded bug on"
    )
    parser.add_argument(
        "--order", action="store_true", help="let validators make blocks (a preview, slow)"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="append results, and skip what is there"
    )
    parser.add_argument(
        "--failures",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the plans of failed runs (here)",
    )
    add_workers(parser)
    parser.set_defaults(command=fuzz)


def _draw(options: Namespace, seed: int) -> Spec:
    return draw_spec(seed, fidelity=options.fidelity, mutant=options.mutant, order=options.order)


def fuzz(options: Namespace) -> int:
    """Run a campaign; answers the exit code."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    workers = options.workers or default_workers()
    say(options, f"seeds {seeds.start} to {seeds.stop - 1}, {workers} workers")
    results = Results(options.results)
    summary = Summary()
    for seed in seeds:
        if seed in results.known:
            summary.add(results.known[seed])
    specs = [_draw(options, seed) for seed in seeds]
    todo = select(specs, results.known)
    begun_s = time.monotonic()
    interrupted = False
    with make_progress(options) as progress, closing(run_all(todo, workers)) as found:
        bar = progress.add_task("fuzz", total=len(seeds), completed=summary.runs)
        try:
            for result in found:
                results.add(result)
                summary.add(result)
                progress.update(bar, advance=1)
                if result.check:
                    _keep_failure(options, result, summary, progress)
        except KeyboardInterrupt:
            interrupted = True
    _close(options, summary, time.monotonic() - begun_s, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return CLEAN if summary.is_clean else BROKEN


def _keep_failure(options: Namespace, result: Result, summary: Summary, progress: Progress) -> None:
    note(progress, f"seed {result.seed}: {result.message}")
    if summary.violations > FAILURES_SAVED_MAX:
        return
    options.failures.mkdir(parents=True, exist_ok=True)
    path = options.failures / f"failure-{result.seed}.jsonl"
    spec = _draw(options, result.seed)
    save_spec(spec, path)
    note(progress, f"  its plan: {path}")


def _close(options: Namespace, summary: Summary, took_s: float, *, interrupted: bool) -> None:
    if options.json:
        document = msgspec.to_builtins(summary) | {
            "missed": summary.missed,
            "interrupted": interrupted,
            "took_s": round(took_s, 1),
        }
        write_json(document)
        return
    if summary.missed:
        write(f"never reached: {', '.join(summary.missed)}")
    how = "interrupted" if interrupted else "clean" if summary.is_clean else "NOT clean"
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} events, "
        f"at least {summary.vertices_min} vertices and {summary.kinds_min} kinds of fault in each, "
        f"agreement within {summary.agreed_ms_max} ms of healing, {took_s:.0f} s"
    )
