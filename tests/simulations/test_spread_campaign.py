"""The campaign of spreading judges by what it promises, and a mesh that aged spreads as any other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.campaigns.spread import AGED_FROM, CASES, Case, Result, make_line, run, show
from tests.support.spread import Report, Spread

REPORT = Report(
    vertices=20,
    coverage=1.0,
    copies=1.1,
    p50_ms=100,
    p99_ms=400,
    last_ms=420,
    control_bytes=300.0,
)


def make_result(report: Report | None = REPORT, closed_ms: int | None = 0) -> Result:
    case = Case(nodes=200, copies_max=1.2, p99_max_ms=450)
    return Result(case=case, report=report, formed_ms=100, closed_ms=closed_ms, cpu_s=1.0)


def test_case_is_judged_by_each_of_its_bounds():
    assert make_result().missed == ()
    assert make_result(replace(REPORT, copies=1.21)).missed == ("copies <= 1.2",)
    assert make_result(replace(REPORT, p99_ms=451)).missed == ("p99 <= 450 ms",)
    assert make_result(replace(REPORT, coverage=0.99999)).missed == ("coverage",)
    assert make_result(closed_ms=None).missed == ("coverage",)
    assert make_result(None).missed == ("coverage",)
    unbounded = replace(make_result(replace(REPORT, copies=9.0, p99_ms=9_999)), case=Case(nodes=9))
    assert unbounded.missed == ()


def test_lines_say_what_was_missed():
    assert show(make_result()).endswith("ok")
    assert "missed: coverage" in show(make_result(closed_ms=None))
    assert "nothing was published" in show(make_result(None))
    assert json.loads(make_line(make_result()))["report"]["copies"] == 1.1


def test_cases_are_those_that_were_promised():
    light = [case.nodes for case in CASES if case.copies_max == 1.2]
    assert light == [10, 100, 200, 1_000, 5_000]
    assert {case.faults for case in CASES} == {
        "-",
        "20% silent",
        "20% lying",
        "50% silent",
        "50% lying",
    }
    assert AGED_FROM > 200


def test_small_case_keeps_its_bounds():
    result = run(Case(nodes=24, copies_max=1.2))
    assert result.missed == ()


def test_mesh_whose_members_joined_long_ago_spreads_as_any_other():
    spread = Spread(40, aged=True)
    assert spread.form() < 5_000
    assert not any(host.core.summarise().vertices > 1 for host in spread.mesh)
    spread.load(2, 12, measured=False)
    spread.load(2, 5)
    spread.settle()
    report = spread.report()
    assert report.vertices == 10
    assert report.coverage == 1.0
    assert report.copies <= 1.25
    spread.world.run_for(3_000)
    assert spread.mesh.converged


def test_member_of_an_aged_mesh_comes_back_from_its_disk():
    spread = Spread(24, aged=True)
    spread.form()
    host = spread.mesh[3]
    host.crash()
    host.publish(b"nobody hears this")
    spread.load(5, 4)
    host.start()
    spread.world.run_until(lambda: spread.mesh.converged, 30_000)
    host.publish(b"everybody does")
    held = host.core.summarise().vertices
    spread.world.run_until(lambda: host.core.summarise().vertices > held, 20_000)
    spread.world.run_until(lambda: spread.mesh.converged, 20_000)
    assert not any(one.penalties for one in spread.mesh)


@pytest.mark.parametrize("aged", [False, True])
def test_spread_is_repeatable(aged):
    reports = []
    for _ in range(2):
        spread = Spread(20, seed=5, aged=aged)
        spread.form()
        spread.load(5, 3)
        spread.settle()
        reports.append(spread.report())
    assert reports[0] == reports[1]
