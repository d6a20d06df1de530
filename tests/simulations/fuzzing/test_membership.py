"""Members who come and go under faults: runs are pure, clean, and their checks can fail."""

from __future__ import annotations

import msgspec
import pytest

from consensus.roll import Roll
from meshnode.core.standings import Standings
from simulations.faults import Byzantine, Restore, Twins, find_dishonest
from simulations.fuzzing.member_plan import MemberSpec, draw_member_spec
from simulations.fuzzing.membership import MemberResult, run

CLEAN = (1, 5)
"""Seeds of short runs; the first lets somebody be expelled."""


@pytest.fixture(scope="module")
def results() -> list[MemberResult]:
    return [run(draw_member_spec(seed)) for seed in CLEAN]


def test_runs_are_clean_and_members_come_and_go_in_them(results):
    assert [(result.check, result.message) for result in results] == [("", "")] * len(CLEAN)
    reached = {state for result in results for state in result.reached}
    assert {"with a ticket", "left", "is expelled", "is revoked", "never let in"} <= reached
    assert all(result.commits > 5 and result.agreed_ms >= 0 for result in results)


def test_equal_specs_give_equal_results(results):
    spec = msgspec.json.decode(msgspec.json.encode(draw_member_spec(CLEAN[1])), type=MemberSpec)
    assert run(spec) == results[1]


def test_liars_among_founders_are_borne():
    for seed in range(200):
        spec = draw_member_spec(seed)
        lying = [host for host in find_dishonest(spec.faults) if host < spec.founders]
        assert 3 * len(lying) < spec.founders
        assert {host for host, _ in spec.expelled} <= set(lying)
        for fault in spec.faults:
            assert not isinstance(fault, Restore)
            assert not (isinstance(fault, Twins) and fault.host >= spec.founders)
    drawn = [draw_member_spec(seed) for seed in range(200)]
    assert any(isinstance(fault, Byzantine) for spec in drawn for fault in spec.faults)
    assert any(isinstance(fault, Twins) for spec in drawn for fault in spec.faults)
    assert {spec.is_open for spec in drawn} == {True, False}


def test_one_host_with_another_roll_is_found(monkeypatch):
    calls = iter(range(1_000_000))
    shipped = Roll.root
    monkeypatch.setattr(
        Roll, "root", lambda self: shipped(self) + (b"x" if next(calls) == 40 else b"")
    )
    assert run(draw_member_spec(CLEAN[0])).check == "one-roll"


def test_ticket_that_lets_in_too_many_is_found(monkeypatch):
    monkeypatch.setattr(Roll, "count_uses", lambda *_: 99)
    assert run(draw_member_spec(CLEAN[0])).check in {"tickets", "liveness"}


def test_who_is_out_and_stays_a_peer_is_found(monkeypatch):
    monkeypatch.setattr(Standings, "_bar", lambda *_: None)
    result = run(draw_member_spec(CLEAN[0]))
    assert result.check == "liveness"
    assert "votes done True, out ['node-" in result.message
