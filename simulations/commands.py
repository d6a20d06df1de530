"""What the command line does: fuzz, replay, shrink, mutants.

    python -m simulations fuzz --seeds 1000 --first-seed 0 --results fuzz.jsonl
    python -m simulations replay failure-17.jsonl
    python -m simulations shrink failure-17.jsonl
    python -m simulations mutants

Exit code 0 if every promise held, 1 if one was broken, 2 for what cannot be done, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.errors import SimulationError
from simulations.fidelity import FIDELITIES
from simulations.fuzzing.campaign import Results, Summary, default_workers, run_all, select
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.mutation import SEEDS, Verdict, score
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.shrink import shrink
from simulations.fuzzing.spec import draw_spec, load_spec, save_spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

CLEAN: Final = 0
BROKEN: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
FAILURES_SAVED_MAX: Final = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; answers the exit code."""
    options = _make_parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except SimulationError as error:
        _complain(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""))
        return USAGE
    return code


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulations", description=__doc__.split("\n")[0]
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fuzz = commands.add_parser("fuzz", help="run meshes under faults, and check every promise")
    fuzz.add_argument("--seeds", type=int, default=100, help="how many runs (100)")
    fuzz.add_argument("--first-seed", type=int, default=0, help="seed of the first run (0)")
    fuzz.add_argument("--fidelity", choices=FIDELITIES, default="objects")
    fuzz.add_argument("--mutant", choices=MUTANTS, default="", help="switch a seeded bug on")
    fuzz.add_argument("--results", type=Path, help="append results here, and skip what is there")
    fuzz.add_argument(
        "--failures", type=Path, default=Path(), help="folder for the plans of failed runs (here)"
    )
    fuzz.set_defaults(command=_fuzz)
    replay = commands.add_parser("replay", help="run a saved plan again")
    replay.add_argument("file", type=Path)
    replay.set_defaults(command=_replay)
    smaller = commands.add_parser("shrink", help="leave out of a plan what a failure does not need")
    smaller.add_argument("file", type=Path)
    smaller.add_argument("--output", type=Path, help="where to (FILE with .small)")
    smaller.set_defaults(command=_shrink)
    mutants = commands.add_parser("mutants", help="switch seeded bugs on, and see them caught")
    mutants.add_argument("names", nargs="*", metavar="NAME", help="which (all)")
    mutants.add_argument("--seeds", type=int, default=SEEDS, help=f"most runs for each ({SEEDS})")
    mutants.add_argument("--first-seed", type=int, default=0)
    mutants.set_defaults(command=_mutants)
    for command in (fuzz, mutants):
        command.add_argument("--workers", type=int, default=0, help="processes (one per core)")
    for command in (fuzz, replay, smaller, mutants):
        command.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


# --- fuzz ------------------------------------------------------------------------------------------


def _fuzz(options: argparse.Namespace) -> int:
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    workers = options.workers or default_workers()
    _say(options, f"seeds {seeds.start} to {seeds.stop - 1}, {workers} workers")
    results = Results(options.results)
    summary = Summary()
    for seed in seeds:
        if seed in results.known:
            summary.add(results.known[seed])
    specs = [draw_spec(seed, fidelity=options.fidelity, mutant=options.mutant) for seed in seeds]
    todo = select(specs, results.known)
    begun_s = time.monotonic()
    interrupted = False
    with _progress(options) as progress, closing(run_all(todo, workers)) as found:
        task = progress.add_task("fuzz", total=len(seeds), completed=summary.runs)
        try:
            for result in found:
                results.add(result)
                summary.add(result)
                progress.update(task, advance=1)
                if result.check:
                    _keep_failure(options, result, summary, progress)
        except KeyboardInterrupt:
            interrupted = True
    _close_fuzz(options, summary, time.monotonic() - begun_s, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return CLEAN if summary.is_clean else BROKEN


def _keep_failure(
    options: argparse.Namespace, result: Result, summary: Summary, progress: Progress
) -> None:
    progress.console.print(f"seed {result.seed}: {result.message}", highlight=False, markup=False)
    if summary.violations > FAILURES_SAVED_MAX:
        return
    path = options.failures / f"failure-{result.seed}.jsonl"
    spec = draw_spec(result.seed, fidelity=options.fidelity, mutant=options.mutant)
    save_spec(spec, path)
    progress.console.print(f"  its plan: {path}", highlight=False, markup=False)


def _close_fuzz(
    options: argparse.Namespace, summary: Summary, took_s: float, *, interrupted: bool
) -> None:
    if options.json:
        document = msgspec.to_builtins(summary) | {
            "missed": summary.missed,
            "interrupted": interrupted,
            "took_s": round(took_s, 1),
        }
        _print(json.dumps(document))
        return
    if summary.missed:
        _print(f"never reached: {', '.join(summary.missed)}")
    how = "interrupted" if interrupted else "clean" if summary.is_clean else "NOT clean"
    _print(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} events, "
        f"at least {summary.vertices_min} vertices and {summary.kinds_min} kinds of fault in each, "
        f"agreement within {summary.agreed_ms_max} ms of healing, {took_s:.0f} s"
    )


# --- replay and shrink -----------------------------------------------------------------------------


def _replay(options: argparse.Namespace) -> int:
    spec = load_spec(options.file)
    _say(options, f"seed {spec.seed}, {spec.nodes} nodes, {len(spec.faults)} faults")
    result = run(spec)
    _tell_result(options, result)
    return BROKEN if result.check else CLEAN


def _shrink(options: argparse.Namespace) -> int:
    spec = load_spec(options.file)
    _say(options, f"seed {spec.seed}, {spec.nodes} nodes, {len(spec.faults)} faults")
    check = run(spec).check
    if not check:
        raise SimulationError(f"{options.file} breaks no promise", hint="nothing to shrink")
    with _progress(options) as progress:
        task = progress.add_task(check, total=None)
        small = shrink(
            spec,
            check,
            tell=lambda runs, left: progress.update(
                task, completed=runs, description=f"{check}: {left} faults left"
            ),
        )
    path: Path = options.output or options.file.with_suffix(".small.jsonl")
    save_spec(small, path)
    _say(options, f"{len(spec.faults)} faults shrunk to {len(small.faults)}: {path}")
    _tell_result(options, run(small))
    return BROKEN


def _tell_result(options: argparse.Namespace, result: Result) -> None:
    if options.json:
        _print(json.dumps(msgspec.to_builtins(result)))
    elif result.check:
        _print(f"broken: {result.message}")
    else:
        _print(f"clean: {result.events} events, {result.vertices} vertices, digest {result.digest}")


# --- mutants ---------------------------------------------------------------------------------------


def _mutants(options: argparse.Namespace) -> int:
    names = options.names or list(MUTANTS)
    for name in names:
        if name not in MUTANTS:
            raise SimulationError(
                f"no mutant is called {name}", hint=f"there are: {', '.join(MUTANTS)}"
            )
    _say(options, f"{len(names)} mutants, seeds from {options.first_seed}")
    verdicts: list[Verdict] = []
    found = score(
        names, first_seed=options.first_seed, seeds=options.seeds, workers=options.workers
    )
    with _progress(options) as progress, closing(found):
        task = progress.add_task("mutants", total=len(names))
        try:
            for verdict in found:
                verdicts.append(verdict)
                _say(options, _show_verdict(verdict))
                progress.update(task, advance=1)
        except KeyboardInterrupt:
            _close_mutants(options, verdicts)
            return INTERRUPTED
    _close_mutants(options, verdicts)
    return CLEAN if all(verdict.caught for verdict in verdicts) else BROKEN


def _show_verdict(verdict: Verdict) -> str:
    how = f"{verdict.runs:3d} runs  {verdict.check}" if verdict.caught else "missed"
    return f"{verdict.mutant:22s} {how:40s} {verdict.says}"


def _close_mutants(options: argparse.Namespace, verdicts: list[Verdict]) -> None:
    if options.json:
        _print(json.dumps(msgspec.to_builtins(verdicts)))
        return
    caught = sum(verdict.caught for verdict in verdicts)
    _print(f"caught {caught} of {len(verdicts)}")


# --- what is shown ---------------------------------------------------------------------------------


def _progress(options: argparse.Namespace) -> Progress:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=options.json,
    )


def _say(options: argparse.Namespace, line: str) -> None:
    if not options.json:
        _print(line)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
