"""What the program knows of a command before it is loaded."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command before it is loaded."""

    name: str
    target: str
    """Module below `meshnode.cli`, and function."""
    summary: str
    examples: tuple[str, ...]


class Noun(NamedTuple):
    """A word that holds commands: `meshnode NOUN COMMAND`."""

    name: str
    summary: str
    commands: tuple[Command, ...]
