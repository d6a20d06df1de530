"""Pictures as files: always the same bytes, whatever names they show."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from simulations.reports.curves import draw
from simulations.reports.extras import MissingExtra
from simulations.reports.pictures import Line, Picture

HOSTILE = "_$\\frac{<script>alert(1)</script>\x1b[31m 名 $x^{"


def make_picture(kind: str = "curve", **fields) -> Picture:
    xs, ys = (1.0, 10.0, 100.0), (0.5, 0.2, 0.9)
    line = Line("measured", xs, ys, tuple(y - 0.1 for y in ys), tuple(y + 0.1 for y in ys))
    theory = Line("theory", xs, ys, is_theory=True)
    values = {"title": "A title", "x_label": "x", "y_label": "y", "lines": (line, theory)}
    return Picture(kind=kind, **{**values, **fields})


@pytest.mark.parametrize(
    ("kind", "logarithmic"),
    [("curve", False), ("curve", True), ("cdf", True), ("series", False)],
)
def test_equal_pictures_have_equal_bytes(tmp_path: Path, kind: str, logarithmic: bool):
    picture = make_picture(kind, log_x=logarithmic, log_y=logarithmic)
    first, second = (draw(picture, tmp_path / name, "some") for name in "ab")
    assert [path.name for path in first] == ["some.svg", "some.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert b"<dc:date>" not in first[0].read_bytes()
    assert first[1].read_bytes().startswith(b"\x89PNG")


def test_hostile_names_are_drawn_as_text(tmp_path: Path):
    line = Line(HOSTILE * 9, (1.0, 2.0), (3.0, 4.0))
    picture = make_picture(
        title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE, note=HOSTILE, lines=(line, line)
    )
    svg, _ = draw(picture, tmp_path, "hostile")
    tags = {element.tag.rsplit("}", 1)[-1] for element in ET.parse(svg).iter()}
    assert "script" not in tags


def test_a_picture_of_nothing_says_so(tmp_path: Path):
    svg, _ = draw(make_picture(lines=(), log_x=True, log_y=True), tmp_path, "nothing")
    assert svg.stat().st_size > 1_000


def test_axes_with_nothing_or_less_are_not_logarithmic(tmp_path: Path):
    flat = Line("zero", (0.0, 1.0), (0.0, 0.0))
    below = Line("below", (-1.0, 1.0), (-2.0, 0.0))
    many = Line("many", tuple(float(x) for x in range(1, 40)), (1.0,) * 39)
    for name, line in (("flat", flat), ("below", below), ("many", many)):
        assert draw(make_picture(lines=(line,), log_x=True, log_y=True), tmp_path, name)


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="matplotlib is not installed"):
        draw(make_picture(), tmp_path, "x")


def test_axis_begins_where_it_is_told_to(tmp_path: Path):
    drawn = [
        draw(make_picture(y_low=low), tmp_path, name)[0] for low, name in ((None, "a"), (0.1, "b"))
    ]
    assert drawn[0].read_bytes() != drawn[1].read_bytes()


def test_points_that_fall_on_each_other_are_all_seen(tmp_path: Path):
    theory, *_ = (line for line in make_picture().lines if line.is_theory)
    same = Line("same", (1.0, 2.0), (1.0, 2.0))
    alone, (svg, _) = (
        draw(make_picture(lines=(same, theory)), tmp_path, "alone"),
        draw(make_picture(lines=(same, same, same, theory)), tmp_path, "three"),
    )
    assert svg.read_bytes().count(b"<use") > alone[0].read_bytes().count(b"<use")
