"""What commands write: results to stdout, words about them to stderr, and nothing hostile to either.

Names, answers and errors come from peers and models. Control characters in them could rewrite a
terminal, so everything that is not ours passes `clean` or `clean_line` first.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from meshnode.secret import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

WIDTH_MAX: Final = 80
"""Tables fit this many columns, however wide the terminal is."""
_COLUMN_GAP: Final = 2
_FLEXIBLE_MIN: Final = 8
_HIDDEN_CATEGORIES: Final = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_JOINERS: Final = "\u200c\u200d"
"""Some scripts and emoji are written with them, and they cannot move a cursor."""


def clean(text: str) -> str:
    """Text of others with everything replaced that a terminal would obey instead of show."""
    return "".join(_clean_character(character) for character in text)


def clean_line(text: str, width: int | None = None) -> str:
    """As `clean`, on one line, cut to `width` characters."""
    line = " ".join(clean(text).split())
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def _clean_character(character: str) -> str:
    if character in "\n\t" or character in _JOINERS:
        return character
    return "\ufffd" if unicodedata.category(character) in _HIDDEN_CATEGORIES else character


def print_json(document: dict[str, Any]) -> None:
    """One JSON document to stdout; control characters in it are escaped by JSON itself."""
    sys.stdout.write(json.dumps(document, ensure_ascii=True, indent=2) + "\n")


def print_json_line(document: dict[str, Any]) -> None:
    """One JSON document as one line, at once."""
    sys.stdout.write(json.dumps(document, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    """Text to stdout at once, as it is."""
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str = "") -> None:
    """One line to stdout."""
    write(f"{text}\n")


def note(text: str) -> None:
    """One line to stderr: words about a result, which a pipe must not carry."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def print_error(message: str, hint: str = "") -> None:
    """The one line a failed command ends with: what, why, next step. It never holds a key."""
    line = clean_line(f"{message}; {hint}" if hint else message)
    note(f"meshnode: error: {redact(line)}")


def describe_error(message: str, hint: str) -> str:
    """An error inside a longer report: what, why, next step."""
    return clean_line(f"{message}; {hint}" if hint else message)


def make_console(*, stderr: bool = False) -> Console:
    """A rich console that obeys NO_COLOR and pipes, and never reads markup in what it prints."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(
            stderr=stderr,
            markup=False,
            highlight=False,
            emoji=False,
            width=_get_piped_width(),
            no_color=True,
        )
    return console


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table to stdout, at most `WIDTH_MAX` wide.

    A column named '>x' is aligned right; the one named '*x' gives way when the others need room.
    """
    cells = [[clean_line(cell) for cell in row] for row in rows]
    console = make_console()
    table = _make_table(columns, cells, width=min(console.width, WIDTH_MAX))
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _make_table(columns: Sequence[str], cells: Sequence[Sequence[str]], *, width: int) -> Table:
    from rich import box
    from rich.table import Table

    names = [column.lstrip(">*") for column in columns]
    widths = [
        max(len(name), *(len(row[number]) for row in cells)) for number, name in enumerate(names)
    ]
    others = sum(
        wide for column, wide in zip(columns, widths, strict=True) if not column.startswith("*")
    )
    room = max(_FLEXIBLE_MIN, width - others - _COLUMN_GAP * (len(columns) - 1))
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, _COLUMN_GAP - 1, 0, 0),  # the box draws one more blank
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    for column, name, wide in zip(columns, names, widths, strict=True):
        flexible = column.startswith("*")
        table.add_column(
            name,
            justify="right" if column.startswith(">") else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=min(wide, room) if flexible else wide,
        )
    return table


def wants_colour() -> bool:
    """Whether what is written to stdout is seen by somebody who has not asked for plain text."""
    environ = os.environ
    return sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def is_interactive() -> bool:
    """Whether a person sees what is written and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _get_piped_width() -> int:
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() and int(text) >= 40 else WIDTH_MAX
