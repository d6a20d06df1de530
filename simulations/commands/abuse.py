"""`abuse`: attacks on the real core, each without its defence and with it."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.abuse.catalogue import ROWS
from simulations.abuse.rows import Record, measure
from simulations.commands.console import BROKEN, CLEAN, make_progress, say, write, write_json
from simulations.commands.options import add_command, count
from simulations.errors import SimulationError

if TYPE_CHECKING:
    from simulations.commands.options import Commands

NAME_CHARS_MAX: Final = 15
FIGURE_CHARS_MAX: Final = 36
_LINE: Final = f"{{:{NAME_CHARS_MAX}}} {{:{FIGURE_CHARS_MAX}}} {{:>8}} {{:>8}} {{:>8}}"
"""Fits 80 columns."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "abuse",
        says="attack the core, each time without one defence and with it",
        more="Exit code 1 if a bound does not hold, or an attack is none.",
        examples=("abuse", "abuse --row withholding --row eclipse-block", "abuse --json"),
    )
    parser.add_argument(
        "--row", action="append", default=[], metavar="NAME", dest="names", help="which (all)"
    )
    parser.add_argument("--seed", type=count, default=1, metavar="S", help="seed of all (1)")
    parser.set_defaults(command=abuse)


def abuse(options: Namespace) -> int:
    """Mount attacks; answers the exit code."""
    names = options.names or list(ROWS)
    for name in names:
        if name not in ROWS:
            raise SimulationError(
                f"no attack is called {name}", hint=f"there are: {', '.join(ROWS)}"
            )
    say(options, _LINE.format("attack", "what is counted", "without", "with", "bound"))
    records: list[Record] = []
    with make_progress(options) as progress:
        bar = progress.add_task("abuse", total=len(names))
        for name in names:
            record = measure(ROWS[name], options.seed)
            records.append(record)
            say(options, _show(record))
            progress.update(bar, advance=1)
    _close(options, records)
    return CLEAN if all(record.holds for record in records) else BROKEN


def _show(record: Record) -> str:
    line = _LINE.format(record.row, record.figure, record.without, record.guarded, record.bound)
    return line if record.holds else f"{line}\n  the bound does not hold, or it is no attack"


def _close(options: Namespace, records: list[Record]) -> None:
    if options.json:
        write_json([{**msgspec.to_builtins(record), "holds": record.holds} for record in records])
        return
    held = sum(record.holds for record in records)
    write(f"\n{held} of {len(records)} defences keep their bound, and none does without")
