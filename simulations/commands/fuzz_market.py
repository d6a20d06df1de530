"""`fuzz-market`: many nodes fold the same market under faults, and every promise is checked."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simulations.commands.campaigns import list_seeds, run_campaign
from simulations.commands.console import note, write, write_json
from simulations.commands.options import add_command, add_first_seed, add_workers, positive
from simulations.folding.spec import draw_spec
from simulations.fuzzing.market import Result
from simulations.fuzzing.market_campaign import Summary, run_all
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.result_file import ResultFile

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "fuzz-market",
        says="fold random markets at many nodes, and check money, books and roots",
        more="Snapshots, joins, replays, lags, shuffled vertices, garbage; a seed is a run.",
        examples=("fuzz-market --seeds 100", "fuzz-market --seeds 10000 --results market.jsonl"),
    )
    parser.add_argument("--seeds", type=positive, default=100, metavar="N", help="how many (100)")
    add_first_seed(parser)
    parser.add_argument(
        "--mutant",
        choices=[name for name, mutant in MUTANTS.items() if mutant.shown_by == "market"],
        default="",
        metavar="NAME",
        help="switch a seeded bug on",
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="append results, and skip what is there"
    )
    add_workers(parser)
    parser.set_defaults(command=fuzz_market)


def fuzz_market(options: Namespace) -> int:
    """Run a campaign; answers the exit code."""
    results = ResultFile(options.results, Result)
    summary = Summary()
    missing = [seed for seed in list_seeds(options) if seed not in results.known]
    todo = (draw_spec(seed, mutant=options.mutant) for seed in missing)
    return run_campaign(
        options,
        "fuzz-market",
        results=results,
        summary=summary,
        run=lambda workers: run_all(todo, workers),
        on_broken=lambda progress, result: note(progress, f"seed {result.seed}: {result.message}"),
        close=lambda how, took_s: _close(options, summary, how, took_s),
    )


def _close(options: Namespace, summary: Summary, how: str, took_s: float) -> None:
    if options.json:
        document = msgspec.to_builtins(summary, str_keys=True) | {
            "missed": list(summary.missed),
            "interrupted": how == "interrupted",
            "took_s": round(took_s, 1),
        }
        write_json(document)
        return
    if summary.missed:
        write(f"never happened: {', '.join(summary.missed)}")
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} commands, "
        f"{summary.commits} commits, {summary.trades} trades, "
        f"at least {summary.kinds_min} kinds of fault in each, {took_s:.0f} s"
    )
