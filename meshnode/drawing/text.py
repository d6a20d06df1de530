"""A lattice in letters, for terminals."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from meshnode.drawing.palette import get_mark, sort_kinds

if TYPE_CHECKING:
    from meshnode.drawing.lattice import Cell, Lattice

_LABEL_MAX: Final = 14
_CELL: Final = 3
_GAP: Final = "·"
_LINK: Final = "─"
_FORK: Final = "‡"
_HIDDEN: Final = ("C", "Zl", "Zp")


def draw_text(lattice: Lattice, *, width: int = 80) -> str:
    """One line per row: letters by kind in causal order; the newest columns that fit."""
    label = min(max((len(printable(row.label)) for row in lattice.rows), default=0), _LABEL_MAX)
    shown = max(1, (width - label - 2) // _CELL)
    first = max(0, lattice.columns - shown)
    lines = []
    for number, row in enumerate(lattice.rows):
        cells = {cell.column: cell for cell in lattice.cells if cell.row == number}
        name = printable(row.label)
        name = name if len(name) <= label else f"{name[: label - 1]}…"
        lines.append(f"{name:<{label}}  {_draw_row(cells, first, lattice.columns)}".rstrip())
    lines.append(_draw_legend(lattice, first))
    return "\n".join(lines)


def _draw_row(cells: dict[int, Cell], first: int, end: int) -> str:
    """Letters, joined by a line from the row's first vertex to its last."""
    columns = sorted(cells)
    parts = []
    for column in range(first, end):
        joined = bool(columns) and columns[0] <= column < columns[-1]
        cell = cells.get(column)
        if cell is None:
            parts.append(_LINK * _CELL if joined else f"{_GAP}{' ' * (_CELL - 1)}")
        else:
            letter = _FORK if cell.shelf else get_mark(cell.vertex.kind).letter
            parts.append(f"{letter}{(_LINK if joined else ' ') * (_CELL - 1)}")
    return "".join(parts)


def _draw_legend(lattice: Lattice, first: int) -> str:
    kinds = sort_kinds(cell.vertex.kind for cell in lattice.cells)
    parts = [f"{get_mark(kind).letter} {kind}" for kind in kinds]
    if any(cell.shelf for cell in lattice.cells):
        parts.append(f"{_FORK} fork")
    if first:
        parts.append(f"({first} earlier columns left out)")
    return ", ".join(parts)


def printable(text: str) -> str:
    """Text of others on one line, without what a terminal or a renderer would obey."""
    return "".join(
        "\ufffd" if unicodedata.category(character).startswith(_HIDDEN) else character
        for character in " ".join(text.split())
    )
