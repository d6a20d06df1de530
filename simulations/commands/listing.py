"""`list`: the scenarios there are, and what each answers."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from simulations.commands.console import CLEAN, write, write_json, write_table
from simulations.commands.options import add_command

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "list",
        says="show the scenarios, and what each answers",
        examples=("list", "list --json"),
    )
    parser.set_defaults(command=show)


def show(options: Namespace) -> int:
    """Print the scenarios; answers the exit code."""
    from simulations.scenarios.catalogue import load, names

    scenarios = [load(name) for name in names()]
    if options.json:
        write_json([scenario.model_dump() for scenario in scenarios])
        return CLEAN
    write_table(("scenario", "question"), [(one.name, one.question) for one in scenarios])
    write("one of them, with pictures: python -m simulations run NAME")
    return CLEAN
