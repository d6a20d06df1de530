"""`fuzz-order`: committees under faults, and every promise of the order checked."""

from __future__ import annotations

import time
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

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
from simulations.consensus.spec import draw_spec
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.order_campaign import ResultFile, Summary, run_all
from simulations.sweeps.choice import default_workers

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "fuzz-order",
        says="run committees under faults, and check the order",
        more="Consensus alone, 1 to 10 validators, all profiles; a seed is a run.",
        examples=("fuzz-order --seeds 100", "fuzz-order --seeds 10000 --results order.jsonl"),
    )
    parser.add_argument("--seeds", type=positive, default=100, metavar="N", help="how many (100)")
    add_first_seed(parser)
    parser.add_argument(
        "--mutant",
        choices=[name for name, mutant in MUTANTS.items() if mutant.shown_by == "order"],
        default="",
        metavar="NAME",
        help="switch a seeded bug on",
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="append results, and skip what is there"
    )
    add_workers(parser)
    parser.set_defaults(command=fuzz_order)


def fuzz_order(options: Namespace) -> int:
    """Run a campaign; answers the exit code."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    workers = options.workers or default_workers()
    say(options, f"seeds {seeds.start} to {seeds.stop - 1}, {workers} workers")
    results = ResultFile(options.results)
    summary = Summary()
    for seed in seeds:
        if seed in results.known:
            summary.add(results.known[seed])
    todo = (draw_spec(seed, mutant=options.mutant) for seed in seeds if seed not in results.known)
    begun_s = time.monotonic()
    interrupted = False
    with make_progress(options) as progress, closing(run_all(todo, workers)) as found:
        bar = progress.add_task("fuzz-order", total=len(seeds), completed=summary.runs)
        try:
            for result in found:
                results.add(result)
                summary.add(result)
                progress.update(bar, advance=1)
                if result.check:
                    note(progress, f"seed {result.seed}: {result.message}")
        except KeyboardInterrupt:
            interrupted = True
    _close(options, summary, time.monotonic() - begun_s, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return CLEAN if summary.is_clean else BROKEN


def _close(options: Namespace, summary: Summary, took_s: float, *, interrupted: bool) -> None:
    if options.json:
        document = msgspec.to_builtins(summary, str_keys=True) | {
            "interrupted": interrupted,
            "took_s": round(took_s, 1),
        }
        write_json(document)
        return
    how = "interrupted" if interrupted else "clean" if summary.is_clean else "NOT clean"
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.commits} commits, "
        f"at least {summary.rounds_min} rounds and {summary.kinds_min} kinds of fault in each, "
        f"all ordered within {summary.settled_ms_max} ms of healing, {took_s:.0f} s"
    )
