"""What commands show: results to stdout, progress and complaints to stderr.

Where stdout or stderr is no terminal, there are neither colours nor bars.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dag.errors import MeshError

if TYPE_CHECKING:
    from rich.progress import Progress

CLEAN: Final = 0
BROKEN: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
WIDTH_MAX: Final = 80
"""Tables fit this many columns, however wide the terminal is."""


def make_progress(options: Namespace) -> Progress:
    """Bars on stderr that are gone when all is done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=options.json,
    )


def note(progress: Progress, line: str) -> None:
    """A line to stderr, above the bars."""
    progress.console.print(line, highlight=False, markup=False)


def say(options: Namespace, line: str) -> None:
    """A line to stdout, unless a document is asked for."""
    if not options.json:
        write(line)


def write(line: str) -> None:
    """A line to stdout at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_json(document: Any) -> None:
    """One JSON document to stdout."""
    write(json.dumps(document))


def complain(error: MeshError) -> None:
    """An error to stderr: what, why, next step."""
    sys.stderr.write(f"error: {error.message}" + (f"; {error.hint}" if error.hint else "") + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table to stdout; the last column is folded where the width ends."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.width = min(console.width, WIDTH_MAX)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(Text(name), overflow="fold", no_wrap=number < len(columns) - 1)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
