"""`fuzz`: meshes under faults, and every promise checked."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulations.commands.campaigns import list_seeds, run_campaign, write_end
from simulations.commands.console import note, write
from simulations.commands.options import add_campaign, add_command
from simulations.fidelity import FIDELITIES
from simulations.fuzzing.campaign import Summary, run_all, select
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.result_file import ResultFile
from simulations.fuzzing.run import Result
from simulations.fuzzing.sometimes import PRUNING_STATES, STATES
from simulations.fuzzing.spec import draw_spec, save_spec

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
    add_campaign(parser, MUTANTS)
    parser.add_argument(
        "--fidelity", choices=FIDELITIES, default="objects", help="how much is done (objects)"
    )
    parser.add_argument(
        "--order", action="store_true", help="let validators make blocks (a preview, slow)"
    )
    parser.add_argument(
        "--prune", action="store_true", help="and let nodes forget, and join from snapshots"
    )
    parser.add_argument(
        "--failures",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for the plans of failed runs (here)",
    )
    parser.set_defaults(command=fuzz)


def _draw(options: Namespace, seed: int) -> Spec:
    return draw_spec(
        seed,
        fidelity=options.fidelity,
        mutant=options.mutant,
        order=options.order,
        prune=options.prune,
    )


def fuzz(options: Namespace) -> int:
    """Run a campaign; answers the exit code."""
    results = ResultFile(options.results, Result)
    summary = Summary(expected=(*STATES, *PRUNING_STATES) if options.prune else STATES)
    specs = [_draw(options, seed) for seed in list_seeds(options)]
    todo = select(specs, results.known)
    return run_campaign(
        options,
        "fuzz",
        results=results,
        summary=summary,
        run=lambda workers: run_all(todo, workers),
        on_broken=lambda progress, result: _keep_failure(options, result, summary, progress),
        close=lambda how, took_s: _close(options, summary, how, took_s),
    )


def _keep_failure(options: Namespace, result: Result, summary: Summary, progress: Progress) -> None:
    note(progress, f"seed {result.seed}: {result.message}")
    if summary.violations > FAILURES_SAVED_MAX:
        return
    options.failures.mkdir(parents=True, exist_ok=True)
    path = options.failures / f"failure-{result.seed}.jsonl"
    spec = _draw(options, result.seed)
    save_spec(spec, path)
    note(progress, f"  its plan: {path}")


def _close(options: Namespace, summary: Summary, how: str, took_s: float) -> None:
    if options.json:
        write_end(summary, how, took_s, missed=summary.missed)
        return
    if summary.missed:
        write(f"never reached: {', '.join(summary.missed)}")
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} events, "
        f"at least {summary.vertices_min} vertices and {summary.kinds_min} kinds of fault in each, "
        f"agreement within {summary.agreed_ms_max} ms of healing, {took_s:.0f} s"
    )
