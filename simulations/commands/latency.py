"""`latency`: how fast the order is, each figure beside what was counted or published."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from simulations.commands.console import BROKEN, CLEAN, write, write_json, write_table
from simulations.commands.options import add_command

if TYPE_CHECKING:
    from simulations.commands.options import Commands
    from simulations.consensus.figures import Figure


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "latency",
        says="measure how fast the order is, and hold it to its bounds",
        more="D is the one message delay; what can be counted must be met exactly.",
        examples=("latency", "latency --json"),
    )
    parser.set_defaults(command=latency)


def latency(options: Namespace) -> int:
    """Measure; answers the exit code."""
    from simulations.consensus.figures import measure_all

    figures = list(measure_all())
    missed = sum(not figure.is_met for figure in figures)
    if options.json:
        write_json([figure._asdict() | {"is_met": figure.is_met} for figure in figures])
    else:
        columns = ("figure", "measured", "must be", "unit", "")
        write_table(columns, [_describe(figure) for figure in figures])
        write(f"{len(figures)} figures, {missed} missed")
    return BROKEN if missed else CLEAN


def _describe(figure: Figure) -> tuple[str, ...]:
    sign = "=" if figure.is_exact else "<="
    return (
        figure.name,
        f"{figure.measured:.2f}",
        f"{sign} {figure.bound:.2f}",
        figure.unit,
        "" if figure.is_met else "missed",
    )
