"""Seeded bugs of consensus, hunted by committees: the quickest are caught here."""

from __future__ import annotations

import msgspec
import pytest

from simulations.consensus.spec import Spec, draw_spec
from simulations.errors import SimulationError
from simulations.fuzzing import mutation
from simulations.fuzzing.mutation import COMMITTEES_PER_MESH, hunt
from simulations.fuzzing.order import Result, run

QUICK = {
    "quorum-less": "grounds",
    "decides-with-less": "grounds",
    "anchor-early": "grounds",
    "time-of-newest": "I2 prefix",
    "never-quiet": "quiet",
    "thirds-rounded": "grounds",
    "commits-on-votes": "grounds",
    "arrival-order": "I2 prefix",
    "offsets-forgotten": "I2 prefix",
    "payload-twice": "I3 once",
}
"""Mutants that one run finds soon, and the promise they break."""
SOON = (
    "round-unchecked",
    "empty-is-skipped",
    "twins-both-put-out",
    "rounds-jumped",
    "own-block-forgotten",
)


@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_caught_at_once(name: str):
    verdict = hunt(name, 0, 5)
    assert verdict.caught
    assert verdict.check == QUICK[name]


@pytest.mark.parametrize("name", SOON)
def test_mutant_is_caught_soon(name: str):
    assert hunt(name, 0, 30).caught


def test_bug_that_breaks_nothing_is_missed(monkeypatch: pytest.MonkeyPatch):
    clean = run(draw_spec(4))
    monkeypatch.setattr(mutation, "run_committee", lambda _spec: clean)
    verdict = hunt("never-quiet", 3, 4)
    assert (verdict.caught, verdict.runs) == (False, 4 * COMMITTEES_PER_MESH)


def test_bug_that_breaks_itself_is_refused(monkeypatch: pytest.MonkeyPatch):
    clean = run(draw_spec(4))

    def misfit(_spec: Spec) -> Result:
        return msgspec.structs.replace(clean, check="raised-TypeError", message="no such argument")

    monkeypatch.setattr(mutation, "run_committee", misfit)
    with pytest.raises(SimulationError, match="breaks itself"):
        hunt("never-quiet", 0, 1)
