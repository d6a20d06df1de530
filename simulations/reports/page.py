"""One HTML page that holds a whole report, and refers to nothing outside itself.

Every text is escaped, pictures are inlined as images (their scripts, if somebody smuggled some in,
cannot run), and the page's own policy forbids it to fetch anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Final

from meshnode.drawing.text import printable
from simulations.reports.statistics import Interval
from simulations.reports.summary import Point, Summary
from simulations.results import Record, Value

POINTS_MAX: Final = 200
METRICS_MAX: Final = 10
FAILURES_MAX: Final = 50
VALUES_MAX: Final = 4
TEXT_MAX: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything a page shows."""

    title: str
    question: str
    scenario: str
    measure: str
    summary: Summary
    failures: Sequence[Record]
    pictures: Sequence[tuple[str, str]] = ()
    """(title, SVG)."""
    pictures_note: str = ""
    """Why there are none."""
    animation: str = ""
    """JSON for the animated topology."""
    animation_note: str = ""
    lattice: str = ""
    """SVG."""
    made_by: Sequence[tuple[str, str]] = ()
    """(what, value): code, version, digest."""
    files: Sequence[str] = ()
    """Names of the files beside the page."""


def make_page(content: Content) -> str:
    """The page as text."""
    style, script = _read("page.css"), _read("topology.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(content.title)}</title>",
        f"<style>{style}</style></head><body>",
        *_make_head(content),
        *_make_pictures(content),
        *_make_results(content.summary),
        *_make_topology(content),
        *_make_lattice(content),
        *_make_failures(content),
        *_make_method(content),
        *_make_files(content),
        f"<script>{script}</script>" if content.animation else "",
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _read(name: str) -> str:
    return (resources.files("simulations.reports") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(value: object) -> str:
    shown = printable(str(value))
    return escape(shown if len(shown) <= TEXT_MAX else f"{shown[: TEXT_MAX - 1]}…", quote=True)


# --- sections --------------------------------------------------------------------------------------


def _make_head(content: Content) -> Iterable[str]:
    points = content.summary.points
    runs = sum(len(point.seeds) + point.failed for point in points)
    failed = sum(point.failed for point in points)
    seeds = {seed: None for point in points for seed in point.seeds}
    yield f"<header><h1>{_text(content.title)}</h1>"
    yield f'<p class="question">{_text(content.question)}</p><ul class="facts">'
    for name, value in (("runs", runs), ("points", len(points)), ("seeds", len(seeds))):
        yield f"<li><b>{value:,}</b><span>{name}</span></li>"
    kind = ' class="bad"' if failed else ""
    yield f"<li{kind}><b>{failed:,}</b><span>failed</span></li>"
    for name, values in content.summary.worlds.items():
        if name != "digest" and all(isinstance(value, bool | str) for value in values):
            yield f"<li><b>{_text(_list(values))}</b><span>{_text(name)}</span></li>"
    yield "</ul></header>"


def _make_pictures(content: Content) -> Iterable[str]:
    yield "<h2>Pictures</h2>"
    if content.pictures_note:
        yield f'<p class="note">{_text(content.pictures_note)}</p>'
    for title, svg in content.pictures:
        yield f"<figure>{_make_image(svg, title)}</figure>"


def _make_image(svg: str, title: str) -> str:
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{_text(title)}">'


def _make_results(summary: Summary) -> Iterable[str]:
    shown = summary.metrics[:METRICS_MAX]
    yield "<h2>Results</h2>"
    yield (
        '<p class="note">Medians over the seeds; below each its bootstrap 95 % confidence '
        "interval.</p>"
    )
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{_text(name)}</th>" for name in summary.varied)
    yield "".join(f'<th class="number">{_text(name)}</th>' for name in (*shown, "runs"))
    yield "</tr></thead><tbody>"
    for point in summary.points[:POINTS_MAX]:
        yield _make_row(point, summary.varied, shown)
    yield "</tbody></table></div>"
    left_out = len(summary.points) - POINTS_MAX, len(summary.metrics) - METRICS_MAX
    for count, what in zip(left_out, ("points", "metrics"), strict=True):
        if count > 0:
            yield f'<p class="note">{count:,} more {what} are in the tables beside this page.</p>'


def _make_row(point: Point, varied: Sequence[str], metrics: Sequence[str]) -> str:
    cells = [f"<td>{_text(_show(point.parameters.get(name)))}</td>" for name in varied]
    cells += [f'<td class="number">{_make_cell(point.metrics.get(name))}</td>' for name in metrics]
    failed = f"<small>{point.failed:,} failed</small>" if point.failed else ""
    cells.append(f'<td class="number">{len(point.seeds):,}{failed}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _make_cell(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    if interval.low == interval.high:
        return _number(interval.median)
    bounds = f"{_number(interval.low)} to {_number(interval.high)}"
    return f"{_number(interval.median)}<small>{bounds}</small>"


def _make_topology(content: Content) -> Iterable[str]:
    yield "<h2>One run, animated</h2>"
    if content.animation_note:
        yield f'<p class="note">{_text(content.animation_note)}</p>'
    if not content.animation:
        return
    yield _CONTROLS
    yield (
        '<canvas id="topology-canvas" role="img" aria-label="Nodes, links and messages of one run '
        'over virtual time"></canvas>'
    )
    yield _LEGEND
    yield "<noscript><p>The animation needs JavaScript; all else on this page does not.</p></noscript>"
    data = content.animation
    for character in "<>&\u2028\u2029":  # so that no name in it can end the element
        data = data.replace(character, f"\\u{ord(character):04x}")
    yield f'<script type="application/json" id="topology-data">{data}</script>'


_CONTROLS: Final = """<div class="controls">
<button type="button" id="topology-play">Play</button>
<label>follow <select id="topology-item"><option value="-1">the whole run</option></select></label>
<label>in <select id="topology-seconds"><option value="4">4 s</option>
<option value="12" selected>12 s</option><option value="40">40 s</option></select></label>
<label><input type="checkbox" id="topology-control" checked> other messages</label>
<input type="range" id="topology-slider" min="0" max="1000" value="0" aria-label="virtual time">
<output id="topology-clock"></output></div>"""
_LEGEND: Final = """<p class="legend"><span><i class="origin"></i>first to have it</span>
<span><i class="holder"></i>has it</span><span><i class="carrier"></i>message that carries it</span>
<span><i class="other"></i>carries something else</span><span><i class="control"></i>other message</span>
<span><i class="down"></i>down</span></p>"""


def _make_lattice(content: Content) -> Iterable[str]:
    if content.lattice:
        yield "<h2>The DAG of that run</h2>"
        yield f'<figure class="wide">{_make_image(content.lattice, "The DAG of one host")}</figure>'


def _make_failures(content: Content) -> Iterable[str]:
    if not content.failures:
        return
    yield f"<h2>Failed runs ({len(content.failures):,})</h2>"
    rows = [
        (
            record.task.seed,
            ", ".join(
                f"{name} {_show(record.task.parameters.get(name))}"
                for name in content.summary.varied
            ),
            record.error,
        )
        for record in content.failures[:FAILURES_MAX]
    ]
    yield _make_table(("seed", "parameters", "error"), rows)


def _make_method(content: Content) -> Iterable[str]:
    summary = content.summary
    seeds = sorted({seed: None for point in summary.points for seed in point.seeds})
    yield "<h2>Method</h2>"
    yield (
        "<p>Every run is a pure function of its parameters and its seed, in virtual time. The "
        "same task run by the same code gives the same result, byte for byte.</p>"
    )
    facts = [
        ("scenario", content.scenario),
        ("measurement", content.measure),
        ("seeds", _span(seeds)),
        *((name, _show(value)) for name, value in summary.fixed.items()),
        *(
            (f"world: {name}", _list(values))
            for name, values in summary.worlds.items()
            if name != "seed"
        ),
        *content.made_by,
    ]
    yield _make_table(("what", "value"), facts)


def _make_files(content: Content) -> Iterable[str]:
    if content.files:
        yield "<h2>Files beside this page</h2><ul>"
        yield "".join(f"<li><code>{_text(name)}</code></li>" for name in content.files)
        yield "</ul><pre>"
        yield escape(_EXAMPLE)
        yield "</pre>"


_EXAMPLE: Final = """from pathlib import Path
from simulations.reports.tables import read_table

runs = read_table(next(Path(".").glob("runs.*")))
runs.rows[0]"""


# --- texts -----------------------------------------------------------------------------------------


def _make_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _show(value: Value | None) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def _list(values: Sequence[Value]) -> str:
    """A few values, or how far many of them reach."""
    if len(values) <= VALUES_MAX:
        return ", ".join(_show(value) for value in values)
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) == len(values):
        return f"{_number(min(numbers))} to {_number(max(numbers))}"
    return f"{len(values):,} different ones"


def _span(seeds: Sequence[int]) -> str:
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return _list(seeds) if seeds else "none"
