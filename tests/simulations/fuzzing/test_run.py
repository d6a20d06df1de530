"""A short campaign: every promise holds, every run is worth its while, and runs repeat."""

from __future__ import annotations

import msgspec
import pytest

from simulations.faults import KINDS_MIN
from simulations.fuzzing.run import Result, Run, run
from simulations.fuzzing.sometimes import STATES
from simulations.fuzzing.spec import VERTICES_MIN, draw_spec

SEEDS = (7, 11, 20)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return [run(draw_spec(seed)) for seed in SEEDS]


def test_promises_hold_under_faults_and_all_agree_afterwards(results: list[Result]):
    assert [result.message for result in results if result.check] == []
    for result in results:
        assert result.vertices >= VERTICES_MIN
        assert len(result.kinds) >= KINDS_MIN
        assert result.agreed_ms >= 0


def test_runs_reach_what_they_are_made_for(results: list[Result]):
    reached = {state for result in results for state in result.reached}
    assert {"crashed", "waited in quarantine", "fetched by id", "heads compared"} <= reached
    assert reached <= set(STATES)


def test_run_is_a_function_of_its_spec(results: list[Result]):
    assert run(draw_spec(SEEDS[0])) == results[0]


def test_fidelities_do_the_same(results: list[Result]):
    other = run(draw_spec(SEEDS[0], fidelity="bytes"))
    assert other.fidelity == "bytes"
    assert msgspec.structs.replace(other, fidelity="objects") == results[0]


def test_run_that_never_agrees_breaks_liveness():
    spec = msgspec.structs.replace(
        draw_spec(SEEDS[0]), heal_ms=1, faults=draw_spec(SEEDS[0]).faults[:1]
    )
    result = run(msgspec.structs.replace(spec, safety_ms=300))
    assert result.check == "liveness"
    assert "vertices" in result.message


def test_what_was_acknowledged_and_is_missing_somewhere_is_found(monkeypatch: pytest.MonkeyPatch):
    spec = msgspec.structs.replace(draw_spec(SEEDS[0]), safety_ms=300, publications=4, faults=())
    once = Run(spec)
    check_end = once._check_end

    def lose() -> None:
        once.durability.acknowledged[0][bytes(32)] = 1
        check_end()

    monkeypatch.setattr(once, "_check_end", lose)
    result = once.carry_out()
    assert (result.check, result.is_clean) == ("survives", False)
    assert "lacks 000000000000 of node-0" in result.message


def test_mesh_agrees_on_an_order_where_that_is_asked_for():
    spec = msgspec.structs.replace(
        draw_spec(SEEDS[0], order=True), nodes=4, safety_ms=1_500, publications=8, faults=()
    )
    assert run(spec).is_clean
    assert run(spec).events > run(msgspec.structs.replace(spec, order=False)).events
