"""What commands show: results to stdout, progress and complaints to stderr.

Where stdout or stderr is no terminal, there are neither colours nor bars.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=options.json or not console.is_interactive,
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


def complain(message: str, hint: str = "") -> None:
    """An error to stderr: what, why, next step."""
    sys.stderr.write(f"error: {message}" + (f"; {hint}" if hint else "") + "\n")


def write_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, figures: bool = False
) -> None:
    """A table to stdout, of texts or figures; its last column is folded where the width ends."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.width = min(console.width, WIDTH_MAX)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(
            Text(name),
            overflow="fold",
            no_wrap=number < len(columns) - 1,
            justify="right" if figures else "left",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    with (
        console.capture() as captured
    ):  # rich ends the program where nobody reads; `main` knows better
        console.print(table)
    sys.stdout.write(captured.get())


def open_page(page: Path) -> None:
    """Show a page in the browser there is; without one, the path that was printed must do."""
    import webbrowser

    webbrowser.open(page.resolve().as_uri())
