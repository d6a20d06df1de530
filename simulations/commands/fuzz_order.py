"""`fuzz-order`: committees under faults, and every promise of the order checked."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simulations.commands.campaigns import list_seeds, run_campaign
from simulations.commands.console import note, write, write_json
from simulations.commands.options import add_command, add_first_seed, add_workers, positive
from simulations.consensus.spec import draw_spec
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.order import Result
from simulations.fuzzing.order_campaign import Summary, run_all
from simulations.fuzzing.result_file import ResultFile

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
    results = ResultFile(options.results, Result)
    summary = Summary()
    missing = [seed for seed in list_seeds(options) if seed not in results.known]
    todo = (draw_spec(seed, mutant=options.mutant) for seed in missing)
    return run_campaign(
        options,
        "fuzz-order",
        results=results,
        summary=summary,
        run=lambda workers: run_all(todo, workers),
        on_broken=lambda progress, result: note(progress, f"seed {result.seed}: {result.message}"),
        close=lambda how, took_s: _close(options, summary, how, took_s),
    )


def _close(options: Namespace, summary: Summary, how: str, took_s: float) -> None:
    if options.json:
        document = msgspec.to_builtins(summary, str_keys=True) | {
            "interrupted": how == "interrupted",
            "took_s": round(took_s, 1),
        }
        write_json(document)
        return
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.commits} commits, "
        f"at least {summary.rounds_min} rounds and {summary.kinds_min} kinds of fault in each, "
        f"all ordered within {summary.settled_ms_max} ms of healing, {took_s:.0f} s"
    )
