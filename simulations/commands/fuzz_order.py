"""`fuzz-order`: committees under faults, and every promise of the order checked."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from simulations.commands.campaigns import list_seeds, run_campaign, write_end
from simulations.commands.console import note, write
from simulations.commands.options import add_campaign, add_command
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
    add_campaign(parser, [name for name, mutant in MUTANTS.items() if mutant.shown_by == "order"])
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
        write_end(summary, how, took_s)
        return
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.commits} commits, "
        f"at least {summary.rounds_min} rounds and {summary.kinds_min} kinds of fault in each, "
        f"all ordered within {summary.settled_ms_max} ms of healing, {took_s:.0f} s"
    )
