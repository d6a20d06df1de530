"""The campaign of churn, short: everybody agrees at the end, and history is put away meanwhile."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.campaigns.churn import Churn, Report, Sample, make_document, show
from tests.support.deep_size import fit_slope, fit_slope_beside, measure_bytes

pytestmark = pytest.mark.slow


def test_members_that_come_and_go_agree_and_hold_little():
    report = Churn(members=8, minutes=7, seed=2, burst=10).run()
    assert report.agreed_ms is not None
    assert {"joined", "restarted", "left", "crashed"} <= report.changes.keys()
    assert report.published >= 400
    assert report.commits >= 150
    assert len(report.samples) >= 2
    # Each commit takes at least three blocks: most of it is not held any more.
    assert report.samples[-1].vertices < (report.published + 3 * report.commits) * 0.8


def make_report(*sizes: int, agreed_ms: int | None = 100) -> Report:
    samples = [
        Sample(minute, size_bytes, 500, 300, 8, 100_000) for minute, size_bytes in enumerate(sizes)
    ]
    return Report(
        minutes=len(sizes),
        members=8,
        changes=Counter(crashed=3),
        samples=samples,
        agreed_ms=agreed_ms,
    )


def test_memory_that_grows_and_heads_that_differ_fail_a_run():
    flat = make_report(500, 900, 1_000, 1_001, 1_000, 999)
    assert flat.mean_bytes == 1_000
    assert flat.is_met
    assert not make_report(500, 900, 1_000, 1_010, 1_020, 1_030).is_met
    assert not make_report(1_000, 1_000, 1_000, 1_000, agreed_ms=None).is_met
    assert "3 crashed" in show(flat)
    assert "NOT AGREED" in show(make_report(1_000, 1_000, 1_000, 1_000, agreed_ms=None))


def test_bytes_of_an_object_are_all_it_holds_each_once():
    shared = bytes(10_000)
    assert 10_000 < measure_bytes([shared, {"again": shared}]) < 11_000
    assert measure_bytes([bytes(10_000), bytes(10_001)]) > 20_000
    assert measure_bytes([measure_bytes]) < 1_000


def test_slope_is_that_of_the_closest_line():
    assert fit_slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    assert fit_slope([(0, 1), (1, 2), (2, 1)]) == pytest.approx(0)


def test_slope_beside_another_cause_is_what_that_does_not_explain():
    points = [
        (float(x), float(z), 3.0 * x + 7 * z + 1)
        for x, z in ((0, 5), (1, 9), (2, 4), (3, 11), (4, 20))
    ]
    assert fit_slope_beside(points) == pytest.approx(3)
    assert fit_slope_beside([(x, 2.0, 3 * x) for x in (0.0, 1.0, 5.0)]) == pytest.approx(3)


def test_a_report_is_written_as_json():
    document = json.loads(json.dumps(make_document(make_report(500, 900, 1_000, 1_001))))
    assert document["changes"] == {"crashed": 3}
    assert len(document["samples"]) == 4
    assert document["is_met"]
