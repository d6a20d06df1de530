"""Draws pictures with matplotlib: the same picture gives the same bytes, as SVG and as PNG."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meshnode.drawing.text import printable
from simulations.reports.extras import import_extra

if TYPE_CHECKING:
    from simulations.reports.pictures import Line, Picture

COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7a5195",
    "#5c6675",
)
"""Told apart by all kinds of eyes (Okabe and Ito, 2008), the last two by lightness."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
INK: Final = "#1f2733"
FAINT: Final = "#5c6675"
GRID: Final = "#e6e9ee"
SIZE_INCHES: Final = (7.2, 4.5)
PNG_DPI: Final = 150
TEXT_MAX: Final = 90
NAMED_MAX: Final = 12
"""Up to so many values that were simulated stand on a logarithmic axis, and no others."""
BEHIND_POINTS: Final = 3.0
"""By how much points are larger than the next ones, that may fall on them and hide them."""
BEHIND_MAX: Final = 3
LOG_STEPS: Final = (1.0, 2.0, 5.0)

_SETTINGS: Final = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "svg.hashsalt": "meshnode",
    "svg.fonttype": "path",
    "path.simplify": True,
}


def draw(picture: Picture, folder: Path, name: str) -> list[Path]:
    """Write a picture as SVG and PNG. Raises `MissingExtra` without matplotlib."""
    matplotlib = import_extra("matplotlib")
    folder.mkdir(parents=True, exist_ok=True)
    settings = {**matplotlib.rcParamsDefault, **_SETTINGS, "backend": "agg"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names of others may hold any
        figure = _make_figure(picture)
        svg, png = folder / f"{name}.svg", folder / f"{name}.png"
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return [svg, png]


def _make_figure(picture: Picture) -> Any:
    figure = import_extra("matplotlib.figure").Figure(figsize=SIZE_INCHES, layout="constrained")
    import_extra("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _dress(axes, picture)
    measured = [line for line in picture.lines if not line.is_theory]
    for number, line in enumerate(measured):
        _draw_line(axes, picture, line, number)
    for number, line in enumerate(line for line in picture.lines if line.is_theory):
        axes.plot(
            line.xs,
            line.ys,
            label=_text(line.label),
            color=INK,
            linewidth=1.4,
            linestyle=(number % 2, (5, 3)),
            zorder=4,
        )
    _scale(axes, picture)
    if len(picture.lines) > 1:
        legend = axes.legend(
            loc="best", fontsize=9.5, labelcolor=INK, framealpha=0.8, edgecolor="none"
        )
        legend.set_zorder(5)  # what is drawn shines through, and text stays readable
    elif not picture.lines:
        style = {"ha": "center", "va": "center", "color": FAINT, "transform": axes.transAxes}
        axes.text(0.5, 0.5, "no run has such values", **style)
    return figure


def _dress(axes: Any, picture: Picture) -> None:
    axes.set_title(_text(picture.title), loc="left", fontsize=13, color=INK, pad=24, weight="bold")
    note = {"xycoords": "axes fraction", "xytext": (0, 8), "textcoords": "offset points"}
    axes.annotate(_text(picture.note), (0, 1), **note, color=FAINT, fontsize=9)
    axes.set_xlabel(_text(picture.x_label), color=INK)
    axes.set_ylabel(_text(picture.y_label), color=INK)
    axes.grid(color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelcolor=INK, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def _draw_line(axes: Any, picture: Picture, line: Line, number: int) -> None:
    colour = COLOURS[number % len(COLOURS)]
    style: dict[str, Any] = {"color": colour, "linewidth": 2.0, "label": _text(line.label)}
    if picture.kind == "curve":
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(line.xs, line.ys, **style, marker=marker, markersize=6, markeredgecolor="#ffffff")
        if any(other.is_theory for other in picture.lines):
            axes.lines[-1].set_linestyle("none")  # points on the line of the theory
            behind = sum(not other.is_theory for other in picture.lines) - 1 - number
            axes.lines[-1].set_markersize(6 + min(behind, BEHIND_MAX) * BEHIND_POINTS)
    else:
        # Both are steps: what is known holds until the next value.
        axes.plot(line.xs, line.ys, **style, drawstyle="steps-post")
    if line.lows:
        step = {} if picture.kind == "curve" else {"step": "post"}
        axes.fill_between(
            line.xs, line.lows, line.highs, color=colour, alpha=0.16, linewidth=0, **step
        )


def _scale(axes: Any, picture: Picture) -> None:
    ticker = import_extra("matplotlib.ticker")
    values = [value for line in picture.lines for value in (*line.ys, *line.highs)]
    places = [place for line in picture.lines for place in line.xs]
    if picture.log_x and places and min(places) > 0:
        axes.set_xscale("log")
        named = sorted(dict.fromkeys(places))
        if picture.kind == "curve" and len(named) <= NAMED_MAX:
            axes.xaxis.set_major_locator(ticker.FixedLocator(named))
        else:
            axes.xaxis.set_major_locator(ticker.LogLocator(subs=LOG_STEPS))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    if picture.log_y and values and min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=LOG_STEPS))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
    elif picture.y_low is not None:
        axes.set_ylim(bottom=picture.y_low)
    elif values and min(values) >= 0:
        axes.set_ylim(bottom=0, top=max(values) * 1.05 or 1.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _text(text: str) -> str:
    """Text of others as text: no formulas, no labels that a legend would hide."""
    shown = printable(text)
    shown = shown if len(shown) <= TEXT_MAX else f"{shown[: TEXT_MAX - 1]}…"
    shown = shown.replace("$", "\\$")
    return f" {shown}" if shown.startswith("_") else shown
