"""A lattice as SVG: one row per author, time to the right, a colour per kind, no scripts.

Every text in it comes escaped; names of others cannot become markup.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from meshnode.drawing.palette import get_commit_colour, get_mark, sort_kinds
from meshnode.drawing.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.drawing.lattice import Cell, Lattice
    from meshnode.views import VertexInfo

_COLUMN: Final = 96
_ROW: Final = 84
_RADIUS: Final = 17
_TOP: Final = 92
_RIGHT: Final = 48
_LEGEND: Final = 56
_CHARACTER: Final = 7.2
_SHELF: Final = 14
_WIDTH_MIN: Final = 640
_STYLE: Final = """
text { font: 13px ui-sans-serif, system-ui, "DejaVu Sans", sans-serif; fill: #1f2733; }
.title { font-size: 17px; font-weight: 600; } .small { font-size: 11px; fill: #5c6675; }
.letter { font-weight: 600; fill: #ffffff; text-anchor: middle; }
.id { font: 10px ui-monospace, "DejaVu Sans Mono", monospace; fill: #5c6675; text-anchor: middle; }
.row { stroke: #e6e9ee; stroke-width: 1; } .own { stroke: #59657a; stroke-width: 2.4; fill: none; }
.ref { stroke: #a9b3c2; stroke-width: 1.3; fill: none; }
.leader { fill: none; stroke: #e0a526; stroke-width: 4; }
.slot { stroke: #e6e9ee; stroke-width: 1; stroke-dasharray: 2 5; } .small.skip { fill: #cf3f4f; }
.commit { font-size: 10px; font-weight: 600; text-anchor: middle; fill: #1f2733; }
.head { fill: none; stroke: #1f2733; stroke-width: 1.6; stroke-dasharray: 3 2.5; }
"""


def draw_svg(lattice: Lattice, *, title: str, subtitle: str = "") -> str:
    """The whole picture as one document."""
    left = _measure_left(lattice)
    width = max(_WIDTH_MIN, left + lattice.columns * _COLUMN + _RIGHT)
    height = _TOP + max(1, len(lattice.rows)) * _ROW + _LEGEND
    size = f'width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">',
        f"<title>{_escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect {size} fill="#ffffff"/>',
        f'<text class="title" x="24" y="32">{_escape(title)}</text>',
        f'<text class="small" x="24" y="52">{_escape(subtitle)}</text>',
        *_draw_slots(lattice, left, height),
        *_draw_rows(lattice, left, width),
        *_draw_edges(lattice, left),
        *_draw_cells(lattice, left),
        *_draw_legend(lattice, height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _measure_left(lattice: Lattice) -> int:
    longest = max((len(printable(row.label)) for row in lattice.rows), default=0)
    return 24 + int(min(longest, 24) * _CHARACTER) + 40


def _place(cell: Cell, left: int) -> tuple[int, int]:
    shift = cell.shelf * _SHELF
    return left + cell.column * _COLUMN + shift, _TOP + cell.row * _ROW + _ROW // 2 + shift


def _draw_slots(lattice: Lattice, left: int, height: int) -> Iterator[str]:
    """Above the blocks of a round, what became of its leader."""
    for slot in lattice.slots:
        x, y = left + slot.column * _COLUMN, _TOP - 4
        style = "small skip" if slot.commit is None else "small"
        yield f'<line class="slot" x1="{x}" y1="{_TOP + 4}" x2="{x}" y2="{height - _LEGEND}"/>'
        yield f'<text class="small" x="{x - _RADIUS}" y="{y - 13}">round {slot.round}</text>'
        yield f'<text class="{style}" x="{x - _RADIUS}" y="{y}">{slot.outcome}</text>'


def _draw_rows(lattice: Lattice, left: int, width: int) -> Iterator[str]:
    for number, row in enumerate(lattice.rows):
        y = _TOP + number * _ROW + _ROW // 2
        yield f'<line class="row" x1="{left - 24}" y1="{y}" x2="{width - 16}" y2="{y}"/>'
        yield (
            f'<text x="24" y="{y + 4}">{_escape(row.label, 24)}'
            f"<title>{_escape(row.author)}</title></text>"
        )


def _draw_edges(lattice: Lattice, left: int) -> Iterator[str]:
    for parent, child in lattice.edges:
        start, end = lattice.cells[parent], lattice.cells[child]
        (x1, y1), (x2, y2) = _place(start, left), _place(end, left)
        if start.row == end.row:
            yield f'<path class="own" d="M{x1} {y1}L{x2} {y2}"/>'
        else:
            # Leaves and arrives level, so that crossing lines stay apart.
            bend = min(_COLUMN, x2 - x1) * 6 // 10
            yield (
                f'<path class="ref" d="M{x1} {y1}C{x2 - bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
                if x2 - x1 > _COLUMN
                else f'<path class="ref" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
            )


def _draw_cells(lattice: Lattice, left: int) -> Iterator[str]:
    for cell in lattice.cells:
        vertex, (x, y) = cell.vertex, _place(cell, left)
        mark = get_mark(vertex.kind)
        about = f"{vertex.kind} {vertex.id}\n{vertex.author_name}: {vertex.summary}"
        if lattice.shows_order:
            about += f"\n{_describe_place(vertex)}"
        yield f"<g><title>{_escape(about, 400)}</title>"
        if cell.is_head:
            yield f'<circle class="head" cx="{x}" cy="{y}" r="{_RADIUS + 5}"/>'
        yield f'<circle cx="{x}" cy="{y}" r="{_RADIUS}" fill="{mark.colour}"/>'
        if vertex.leads:
            yield f'<circle class="leader" cx="{x}" cy="{y}" r="{_RADIUS}"/>'
        yield f'<text class="letter" x="{x}" y="{y + 5}">{mark.letter}</text>'
        yield from _draw_commit(vertex, x, y)
        yield f'<text class="id" x="{x}" y="{y + _RADIUS + 17}">{_escape(vertex.id[:8])}</text></g>'


def _draw_commit(vertex: VertexInfo, x: int, y: int) -> Iterator[str]:
    """The commit that put a vertex out; neighbouring commits differ in colour."""
    if vertex.commit is None:
        return
    text, colour = str(vertex.commit), get_commit_colour(vertex.commit)
    wide = 10 + 6 * len(text)
    corner_x, corner_y = x + _RADIUS - 6, y - _RADIUS - 6
    yield (
        f'<rect x="{corner_x}" y="{corner_y}" width="{wide}" height="14" rx="7" fill="{colour}"/>'
        f'<text class="commit" x="{corner_x + wide // 2}" y="{corner_y + 10}">{text}</text>'
    )


def _describe_place(vertex: VertexInfo) -> str:
    if vertex.commit is None:
        return "not final yet"
    return f"{'leader of' if vertex.leads else 'final in'} commit {vertex.commit}"


def _draw_legend(lattice: Lattice, height: int) -> Iterator[str]:
    x, y = 24, height - 26
    kinds = sort_kinds(cell.vertex.kind for cell in lattice.cells)
    for kind in kinds:
        mark = get_mark(kind)
        yield f'<circle cx="{x + 7}" cy="{y - 4}" r="7" fill="{mark.colour}"/>'
        yield f'<text class="small" x="{x + 20}" y="{y}">{mark.letter} {_escape(kind)}</text>'
        x += 44 + int(len(kind) * _CHARACTER)
    yield f'<circle class="head" cx="{x + 7}" cy="{y - 4}" r="7"/>'
    yield f'<text class="small" x="{x + 20}" y="{y}">head (nothing refers to it yet)</text>'
    notes = []
    if lattice.shows_order:
        yield f'<circle class="leader" cx="{x + 211}" cy="{y - 4}" r="6"/>'
        yield f'<text class="small" x="{x + 224}" y="{y}">led a commit</text>'
        notes.append("a number is the commit that made a vertex final; none: not final yet")
    if lattice.missing:
        notes.append(f"{lattice.missing} references lead to vertices outside this picture")
    if notes:
        yield f'<text class="small" x="24" y="{y + 18}">{"; ".join(notes)}</text>'


def _escape(text: str, characters_max: int = 120) -> str:
    shown = printable(text)
    shown = shown if len(shown) <= characters_max else f"{shown[: characters_max - 1]}…"
    return escape(shown, quote=True)
