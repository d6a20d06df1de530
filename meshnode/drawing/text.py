"""A lattice in letters, for terminals."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from meshnode.drawing.palette import get_mark, sort_kinds

if TYPE_CHECKING:
    from meshnode.drawing.lattice import Cell, Lattice

_LABEL_MAX: Final = 14
_CELL: Final = 3
_ORDERED_CELL: Final = 4
"""With the last two digits of the commit behind the letter."""
_GAP: Final = "·"
_LINK: Final = "─"
_FORK: Final = "‡"
_LEADER: Final = "L"
_SKIPPED: Final = "x"
_HIDDEN: Final = ("C", "Zl", "Zp")
_LEADER_STYLE: Final = "1;33"
_STYLES: Final = {"block": "2", "result": "1;32", "note": "33", "decision": "35", "evidence": "31"}
"""Of a terminal, by kind; what is not named here stays as it is."""


class _Frame(NamedTuple):
    """What of a lattice is drawn, and how."""

    first: int
    end: int
    cell: int
    ordered: bool
    coloured: bool


def draw_text(lattice: Lattice, *, width: int = 80, coloured: bool = False) -> str:
    """One line per row: letters by kind in causal order; the newest columns that fit."""
    label = min(max((len(printable(row.label)) for row in lattice.rows), default=0), _LABEL_MAX)
    ordered = lattice.shows_order
    cell = _ORDERED_CELL if ordered else _CELL
    first = max(0, lattice.columns - max(1, (width - label - 2) // cell))
    frame = _Frame(first, lattice.columns, cell, ordered, coloured)
    lines = []
    for number, row in enumerate(lattice.rows):
        cells = {each.column: each for each in lattice.cells if each.row == number}
        name = printable(row.label)
        name = name if len(name) <= label else f"{name[: label - 1]}…"
        lines.append(f"{name:<{label}}  {_draw_row(cells, frame)}".rstrip())
    if lattice.slots:
        lines.append(f"{'leaders':<{label}}  {_draw_slots(lattice, frame)}".rstrip())
    return "\n".join([*lines, *_draw_legend(lattice, frame, width)])


def _draw_row(cells: dict[int, Cell], frame: _Frame) -> str:
    """Letters, joined by a line from the row's first vertex to its last."""
    columns = sorted(cells)
    parts = []
    for column in range(frame.first, frame.end):
        joined = bool(columns) and columns[0] <= column < columns[-1]
        cell = cells.get(column)
        fill = _LINK if joined else " "
        if cell is None:
            parts.append(fill * frame.cell if joined else f"{_GAP}{' ' * (frame.cell - 1)}")
        else:
            mark = _make_mark(cell, frame)
            parts.append(_paint(mark, cell, frame) + fill * (frame.cell - len(mark)))
    return "".join(parts)


def _make_mark(cell: Cell, frame: _Frame) -> str:
    vertex = cell.vertex
    letter = _LEADER if vertex.leads else get_mark(vertex.kind).letter
    letter = _FORK if cell.shelf else letter
    return (
        f"{letter}{vertex.commit % 100}" if frame.ordered and vertex.commit is not None else letter
    )


def _paint(mark: str, cell: Cell, frame: _Frame) -> str:
    style = _LEADER_STYLE if cell.vertex.leads else _STYLES.get(cell.vertex.kind)
    return f"\x1b[{style}m{mark}\x1b[0m" if frame.coloured and style else mark


def _draw_slots(lattice: Lattice, frame: _Frame) -> str:
    """Below the blocks of a round, what became of its leader."""
    slots = {slot.column: slot for slot in lattice.slots}
    parts = []
    for column in range(frame.first, frame.end):
        slot = slots.get(column)
        mark = "" if slot is None else _SKIPPED if slot.commit is None else str(slot.commit % 100)
        parts.append(f"{mark:<{frame.cell}}")
    return "".join(parts)


def _draw_legend(lattice: Lattice, frame: _Frame, width: int) -> list[str]:
    kinds = sort_kinds(cell.vertex.kind for cell in lattice.cells)
    parts = [f"{get_mark(kind).letter} {kind}" for kind in kinds]
    if any(cell.vertex.leads for cell in lattice.cells):
        parts.append(f"{_LEADER} block that led a commit")
    if any(slot.commit is None for slot in lattice.slots):
        parts.append(f"{_SKIPPED} round whose leader was passed over")
    if any(cell.shelf for cell in lattice.cells):
        parts.append(f"{_FORK} fork")
    if frame.ordered:
        parts.append("number: the commit that made it final (last two digits)")
    if frame.first:
        parts.append(f"({frame.first} earlier column{'s' * (frame.first > 1)} left out)")
    return textwrap.wrap(", ".join(parts), width) or [""]


def printable(text: str) -> str:
    """Text of others on one line, without what a terminal or a renderer would obey."""
    return "".join(
        "\ufffd" if unicodedata.category(character).startswith(_HIDDEN) else character
        for character in " ".join(text.split())
    )
