"""`mutants`: seeded bugs, switched on one by one, and caught."""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.commands.console import (
    BROKEN,
    CLEAN,
    INTERRUPTED,
    make_progress,
    say,
    write,
    write_json,
)
from simulations.commands.options import add_command, add_first_seed, add_workers, positive
from simulations.errors import SimulationError
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.mutation import SEEDS, Verdict, score

if TYPE_CHECKING:
    from simulations.commands.options import Commands


CHECK_CHARS_MAX: Final = 22
_LINE: Final = f"{{:20}} {{:>4}}  {{:{CHECK_CHARS_MAX}}} {{}}"
"""Fits 80 columns: names have at most 20 characters, what a bug breaks is said in 30."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "mutants",
        says="switch seeded bugs on, and see them caught",
        more="Exit code 1 if one is missed.",
        examples=("mutants", "mutants send-before-persist --seeds 20"),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which (all)")
    parser.add_argument(
        "--seeds", type=positive, default=SEEDS, metavar="N", help=f"most runs for each ({SEEDS})"
    )
    add_first_seed(parser)
    add_workers(parser)
    parser.set_defaults(command=mutants)


def mutants(options: Namespace) -> int:
    """Hunt seeded bugs; answers the exit code."""
    names = options.names or list(MUTANTS)
    for name in names:
        if name not in MUTANTS:
            raise SimulationError(
                f"no mutant is called {name}", hint=f"there are: {', '.join(MUTANTS)}"
            )
    say(options, f"{len(names)} mutants, seeds from {options.first_seed}\n")
    say(options, _LINE.format("mutant", "runs", "caught by", "what it breaks"))
    verdicts: list[Verdict] = []
    found = score(
        names, first_seed=options.first_seed, seeds=options.seeds, workers=options.workers
    )
    with make_progress(options) as progress, closing(found):
        bar = progress.add_task("mutants", total=len(names))
        try:
            for verdict in found:
                verdicts.append(verdict)
                say(options, _show(verdict))
                progress.update(bar, advance=1)
        except KeyboardInterrupt:
            _close(options, verdicts)
            return INTERRUPTED
    _close(options, verdicts)
    return CLEAN if all(verdict.caught for verdict in verdicts) else BROKEN


def _show(verdict: Verdict) -> str:
    if not verdict.caught:
        return _LINE.format(verdict.mutant, verdict.runs, "MISSED", verdict.says)
    check = verdict.check
    if len(check) > CHECK_CHARS_MAX:
        check = check[: CHECK_CHARS_MAX - 1] + "…"
    return _LINE.format(verdict.mutant, verdict.runs, check, verdict.says)


def _close(options: Namespace, verdicts: list[Verdict]) -> None:
    if options.json:
        write_json(msgspec.to_builtins(verdicts))
        return
    caught = [verdict for verdict in verdicts if verdict.caught]
    most = max((verdict.runs for verdict in caught), default=0)
    write(f"\ncaught {len(caught)} of {len(verdicts)}, each within {most} runs")
