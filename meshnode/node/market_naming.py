"""What commands are called where people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from market.commands import Command


def name_command(command: Command) -> str:
    """A command's name on the surface: 'place_order' for `PlaceOrder`."""
    name = type(command).__name__
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def summarise_commands(commands: Sequence[Command]) -> str:
    """Commands in one short line: 'place_order, accept x 3'."""
    counts: dict[str, int] = {}
    for command in commands:
        name = name_command(command)
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name} x {count}" if count > 1 else name for name, count in counts.items())
