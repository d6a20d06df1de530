"""What a plot shows, before anything is drawn."""

from __future__ import annotations

import statistics

import pytest

from simulations.reports.pictures import LINES_MAX, POINTS_MAX, make_picture
from simulations.scenarios.schema import Plot
from tests.support.records import make_record, make_records


def make_plot(kind: str = "curve", y: str = "share", **fields) -> Plot:
    x = {"x": "fanout"} if kind == "curve" else {}
    labels = {"title": "Made up", "x_label": "across", "y_label": "up"}
    return Plot.model_validate({"kind": kind, "y": y, **x, **labels, **fields})


def test_curves_are_medians_over_seeds_within_their_intervals():
    records = make_records(seeds=5)
    picture = make_picture(make_plot(group_by="nodes"), records[::-1])
    assert [line.label for line in picture.lines] == ["nodes 10", "nodes 100"]
    for line, nodes in zip(picture.lines, (10, 100), strict=True):
        assert line.xs == (1.0, 2.0, 4.0)
        for place, fanout in enumerate((1, 2, 4)):
            values = [
                record.outcome.metrics["share"]
                for record in records
                if record.outcome and record.task.parameters == {"fanout": fanout, "nodes": nodes}
            ]
            assert line.ys[place] == statistics.median(values)
            assert line.lows[place] <= line.ys[place] <= line.highs[place]
    assert picture.note.startswith("30 runs; median")


def test_distributions_rise_from_nothing_to_all():
    records = [*make_records(), make_record(7, error="lost")]
    (line,) = make_picture(make_plot("cdf", "delivery_ms"), records).lines
    values = sorted(v for r in records if r.outcome for v in r.outcome.samples["delivery_ms"])
    assert (line.xs[0], line.xs[-1]) == (values[0], values[-1])
    assert (line.ys[0], line.ys[-1]) == (0.0, 1.0)
    assert len(line.xs) == POINTS_MAX + 1
    assert list(line.ys) == sorted(line.ys)
    middle = next(x for x, y in zip(line.xs, line.ys, strict=True) if y >= 0.5)
    assert middle == pytest.approx(statistics.median(values), abs=1.0)


def test_series_hold_their_last_value_until_the_next():
    records = make_records(seeds=9)
    (line,) = make_picture(make_plot("series", "coverage"), records).lines
    assert line.xs == tuple(float(x) for x in range(0, 100, 10))
    for low, median, high in zip(line.lows, line.ys, line.highs, strict=True):
        assert low <= median <= high
    assert line.ys[0] == 0.0


def test_long_series_are_thinned_out():
    record = make_record(1)
    assert record.outcome is not None
    record.outcome.series["coverage"] = [(x, x) for x in range(5_000)]
    (line,) = make_picture(make_plot("series", "coverage"), [record]).lines
    assert len(line.xs) == POINTS_MAX
    assert (line.xs[0], line.xs[-1], line.ys[-1]) == (0.0, 4_999.0, 4_999.0)


@pytest.mark.parametrize(("kind", "y"), [("curve", "no"), ("cdf", "no"), ("series", "no")])
def test_what_no_run_has_is_not_shown(kind, y):
    assert make_picture(make_plot(kind, y), make_records()).lines == ()
    assert make_picture(make_plot(kind, y), []).lines == ()


def test_more_lines_than_colours_are_left_out():
    records = [make_record(0, fanout=1, nodes=count) for count in range(LINES_MAX + 3)]
    picture = make_picture(make_plot(group_by="nodes"), records)
    assert len(picture.lines) == LINES_MAX
    assert "3 more lines left out" in picture.note


def test_groups_of_truths_and_texts_have_an_order_too():
    records = [make_record(0, fanout=1, way=way) for way in ("push", 0.5, "pull", True)]
    labels = [line.label for line in make_picture(make_plot(group_by="way"), records).lines]
    assert labels == ["way 0.5", "way True", "way pull", "way push"]


def test_theory_is_drawn_where_something_was_measured():
    records = [make_record(0, fanout=f, nodes=2_000, origins=2) for f in (2, 3, 5)]
    picture = make_picture(make_plot(theory="final_size"), records)
    measured, theory = picture.lines
    assert theory.is_theory
    assert not measured.is_theory
    assert "1927" in theory.label
    # The published figures for an infinite population and one origin in a thousand.
    assert theory.ys == pytest.approx((0.7968, 0.9405, 0.9930), abs=0.002)


def test_theory_of_several_groups_is_drawn_once_where_it_is_alike():
    plot = make_plot(theory="final_size", group_by="colour")
    records = [
        make_record(0, fanout=f, nodes=100, origins=1, colour=c) for f in (2, 3) for c in "ab"
    ]
    assert [line.is_theory for line in make_picture(plot, records).lines] == [False, False, True]
    plot = make_plot(theory="final_size", group_by="origins")
    records = [make_record(0, fanout=f, nodes=100, origins=o) for f in (2, 3) for o in (1, 50)]
    labels = [line.label for line in make_picture(plot, records).lines if line.is_theory]
    assert [label.rsplit(", ", 1)[1] for label in labels] == ["origins 1", "origins 50"]


def test_theory_whose_parameters_are_absent_is_left_out_and_said_to_be():
    picture = make_picture(make_plot(theory="final_size"), make_records())
    assert not any(line.is_theory for line in picture.lines)
    assert "final_size" in picture.note
    nothing = make_picture(make_plot("cdf", "delivery_ms", theory="final_size"), make_records())
    assert len(nothing.lines) == 1


def test_plot_shows_only_the_runs_it_is_meant_for():
    records = make_records(seeds=3)
    picture = make_picture(make_plot(group_by="nodes", where={"nodes": 100}), records)
    assert [line.label for line in picture.lines] == ["nodes 100"]
    assert picture.note.startswith("9 runs with nodes 100; median")
    assert make_picture(make_plot(where={"nodes": 7}), records).lines == ()


def test_several_formulas_are_drawn_beside_each_other():
    plot = make_plot(theory=["zi_c_least", "zi_c_most"], y_low=0.5)
    picture = make_picture(plot, make_records())
    theories = [line for line in picture.lines if line.is_theory]
    assert [dict.fromkeys(line.ys) for line in theories] == [{0.971: None}, {0.999: None}]
    assert picture.y_low == 0.5
