"""`fuzz-members`: members come, leave and are put out under faults, and every promise is checked."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from simulations.commands.campaigns import list_seeds, run_campaign, write_end
from simulations.commands.console import note, write
from simulations.commands.options import add_campaign, add_command
from simulations.fuzzing.member_campaign import Summary, run_all
from simulations.fuzzing.member_plan import draw_member_spec
from simulations.fuzzing.membership import MemberResult
from simulations.fuzzing.result_file import ResultFile

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "fuzz-members",
        says="let members come, leave and be put out under faults, and compare their rolls",
        more="Tickets run out and are taken back, votes expel, liars lie; a seed is a run.",
        examples=("fuzz-members --seeds 50", "fuzz-members --seeds 1000 --results members.jsonl"),
    )
    add_campaign(parser, ())
    parser.set_defaults(command=fuzz_members)


def fuzz_members(options: Namespace) -> int:
    """Run a campaign; answers the exit code."""
    results = ResultFile(options.results, MemberResult)
    summary = Summary()
    todo = (draw_member_spec(seed) for seed in list_seeds(options) if seed not in results.known)
    return run_campaign(
        options,
        "fuzz-members",
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
        f"{how}: {summary.runs} runs, {summary.violations} violations, {summary.events} events, "
        f"rolls compared at {summary.commits} commits, "
        f"agreed at most {summary.agreed_ms_max} ms after the faults, {took_s:.0f} s"
    )
