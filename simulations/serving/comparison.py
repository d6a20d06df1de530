"""Policies side by side: the same seeds for each, medians over them, and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from simulations.reports.curves import COLOURS, FAINT, GRID, INK
from simulations.reports.extras import import_extra
from simulations.serving.outcome import Figures
from simulations.serving.policies import OURS, POLICIES

COLUMNS: Final = ("policy", "p50", "p95", "p99", "good", "joint", "e2e", "hit", "load", "err")
"""Times in seconds: three of the first token, then the 95th percentile of whole answers."""
SIZE_INCHES: Final = (10.0, 4.6)
PNG_DPI: Final = 150


@dataclass(frozen=True, slots=True)
class Row:
    """What one policy came to, over all seeds."""

    policy: str
    runs: tuple[Figures, ...]

    def median(self, name: str) -> float:
        """The median over seeds of a figure."""
        return float(statistics.median(getattr(run, name) for run in self.runs))

    @property
    def errors(self) -> int:
        """Requests without an answer, in all runs."""
        return sum(run.requests - run.answered for run in self.runs)

    def describe(self) -> tuple[str, ...]:
        """The cells of the table's row."""
        return (
            self.policy,
            f"{self.median('ttft_p50'):.2f}",
            f"{self.median('ttft_p95'):.1f}",
            f"{self.median('ttft_p99'):.1f}",
            f"{self.median('good'):.3f}",
            f"{self.median('joint'):.3f}",
            f"{self.median('whole_p95'):.1f}",
            f"{self.median('hit_rate'):.2f}",
            f"{self.median('load_ratio'):.2f}",
            str(self.errors),
        )


def arrange(results: Iterable[tuple[str, int, Figures]]) -> list[Row]:
    """Rows in the order of `POLICIES` from results in any: policy, seed, figures."""
    found: dict[str, list[tuple[int, Figures]]] = {}
    for policy, seed, figures in results:
        found.setdefault(policy, []).append((seed, figures))
    return [
        Row(policy, tuple(figures for _, figures in sorted(found[policy], key=lambda one: one[0])))
        for policy in POLICIES
        if policy in found
    ]


def find_best(rows: Sequence[Row]) -> Row | None:
    """The best policy that is not ours, by joint goodput."""
    others = [row for row in rows if row.policy != OURS]
    return max(others, key=lambda row: row.median("joint"), default=None)


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """The distribution of first tokens, and the goodput. Raises `MissingExtra`."""
    figure = import_extra("matplotlib.figure").Figure(figsize=SIZE_INCHES, layout="constrained")
    import_extra("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", color=INK, weight="bold")
    left, right = figure.subplots(1, 2)
    for number, row in enumerate(rows):
        style = {"color": COLOURS[number % len(COLOURS)], "linewidth": 2.4 if not number else 1.4}
        dashes = "-" if number < len(COLOURS) else ":"
        xs, ys = _list_late(row)
        left.plot(xs, ys, label=row.policy, linestyle=dashes, **style)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("seconds to the first token")
    left.set_ylabel("share of answers that took longer")
    left.legend(fontsize=8, labelcolor=INK, framealpha=0.8, edgecolor="none")
    _draw_bars(right, rows)
    for axes in (left, right):
        _dress(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The day on which it was drawn is no part of a picture.
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=PNG_DPI, metadata=metadata)


def _list_late(row: Row) -> tuple[list[float], list[float]]:
    values = sorted(value for run in row.runs for value in run.ttft_s)
    count = len(values)
    return values, [(count - place) / count for place in range(count)]


def _draw_bars(axes: Any, rows: Sequence[Row]) -> None:
    ordered = list(reversed(rows))
    values = [row.median("joint") for row in ordered]
    colours = [COLOURS[0] if row.policy == OURS else GRID for row in ordered]
    axes.barh([row.policy for row in ordered], values, color=colours)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.3f}", va="center", fontsize=9, color=INK)
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("joint goodput: first token in time and at most 50 ms a token")


def _dress(axes: Any) -> None:
    axes.tick_params(colors=FAINT, labelcolor=INK, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)
