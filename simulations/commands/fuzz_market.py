"""`fuzz-market`: many nodes fold the same market under faults, and every promise is checked."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from simulations.commands.campaigns import list_seeds, run_campaign, write_end
from simulations.commands.console import note, write
from simulations.commands.options import add_campaign, add_command
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
    add_campaign(parser, [name for name, mutant in MUTANTS.items() if mutant.shown_by == "market"])
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
        write_end(summary, how, took_s, missed=list(summary.missed))
        return
    if summary.missed:
        write(f"never happened: {', '.join(summary.missed)}")
    write(
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} commands, "
        f"{summary.commits} commits, {summary.trades} trades, "
        f"at least {summary.kinds_min} kinds of fault in each, {took_s:.0f} s"
    )
