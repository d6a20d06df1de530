"""Seeded bugs of the market, hunted by nodes that fold the same commits."""

from __future__ import annotations

import msgspec
import pytest

from simulations.errors import SimulationError
from simulations.folding.spec import Spec, draw_spec
from simulations.fuzzing import mutation
from simulations.fuzzing.market import Result, run
from simulations.fuzzing.mutation import COMMITTEES_PER_MESH, hunt

QUICK = {
    "as-they-came": "P12 root",
    "money-from-nowhere": "P5 money",
    "crossed-rests": "P1 crossed",
    "self-trades": "P6 self-trade",
    "old-receipts": "P15 receipts",
    "margin-kept": "P9 index",
    "never-due": "end",
    "collateral-lost": "P5 money",
    "expired-late": "P13 expiry",
    "sorted-by-hash": "P11 processes",
    "snapshot-motions": "P12 root",
    "snapshot-allowances": "P12 root",
}


@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_caught_soon(name: str):
    verdict = hunt(name, 0, 10)
    assert verdict.caught
    assert verdict.check == QUICK[name]


def test_bug_that_breaks_nothing_is_missed(monkeypatch: pytest.MonkeyPatch):
    clean = run(msgspec.structs.replace(draw_spec(4), commits=3))
    monkeypatch.setattr(mutation, "run_market", lambda _spec: clean)
    verdict = hunt("never-due", 3, 4)
    assert (verdict.caught, verdict.runs) == (False, 4 * COMMITTEES_PER_MESH)


def test_bug_that_breaks_itself_is_refused(monkeypatch: pytest.MonkeyPatch):
    clean = run(msgspec.structs.replace(draw_spec(4), commits=3))

    def misfit(_spec: Spec) -> Result:
        return msgspec.structs.replace(clean, check="raised-TypeError", message="no such argument")

    monkeypatch.setattr(mutation, "run_market", misfit)
    with pytest.raises(SimulationError, match="breaks itself"):
        hunt("never-due", 0, 1)
