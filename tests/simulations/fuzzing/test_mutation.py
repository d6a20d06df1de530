"""The mutation score: the quickest bugs are caught here, and verdicts are those they should be."""

from __future__ import annotations

import msgspec
import pytest

from simulations.errors import SimulationError
from simulations.fuzzing import mutation
from simulations.fuzzing.mutation import LOOK_EVERY, OWED_MIN, REPEATABLE, hunt, score
from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import Spec
from tests.support.fuzz_results import make_result

QUICK = {
    "parents-unchecked": "raised-AssertionError",
    "send-before-persist": "durable",
    "tell-before-persist": "durable",
    "own-not-persisted": "durable",
    "relay-charged": "no-honest-ban",
    "digest-omits-head": "heads-determine-stores",
    "newest-unknown": "raised-AssertionError",
    "waiting-announced": "durable",
}
"""Mutants that one run finds soon, and the promise they break."""


SOON = {
    "bans-forgotten": 5,
    "chain-unchecked": 0,
    "evidence-unchecked": 8,
    "lamport-unchecked": 4,
    "neighbour-charged": 0,
    "own-last-unasked": 1,
    "restart-forgets": 3,
    "second-dropped": 0,
    "serves-nothing": 0,
    "set-order": 0,
    "stale-refused": 1,
    "torn-accepted": 5,
}
"""Mutants, and a seed from which they are found soon; which run it is may change with the core."""


@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_caught_at_once(name: str):
    verdict = hunt(name, 0, 10)
    assert verdict.caught
    assert verdict.check == QUICK[name]


@pytest.mark.parametrize("name", SOON)
def test_mutant_is_caught_soon(name: str):
    assert hunt(name, SOON[name], 20).caught


def test_scores_in_a_pool_are_those_of_one_process():
    names = ["own-not-persisted", "parents-unchecked"]
    alone = {one.mutant: one for one in score(names, first_seed=7, seeds=1, workers=1)}
    pooled = {one.mutant: one for one in score(names, first_seed=7, seeds=1, workers=2)}
    assert pooled == alone


# --- verdicts, with runs that cost nothing -----------------------------------------------------------


def test_bug_is_caught_by_the_first_run_that_breaks_a_promise(monkeypatch: pytest.MonkeyPatch):
    def run(spec: Spec) -> Result:
        return make_result(spec, "durable" if spec.mutant and spec.seed == 12 else "")

    monkeypatch.setattr(mutation, "run", run)
    verdict = hunt("no-pull", 10, 5)
    assert (verdict.caught, verdict.runs, verdict.seed) == (True, 3, 12)
    assert hunt("no-pull", 13, 5).caught is False


def test_bug_is_caught_by_what_it_keeps_from_happening(monkeypatch: pytest.MonkeyPatch):
    def run(spec: Spec) -> Result:
        states = ("crashed",) if spec.mutant or spec.seed % 4 else ("crashed", "alone")
        return msgspec.structs.replace(make_result(spec), reached=states)

    monkeypatch.setattr(mutation, "run", run)
    verdict = hunt("no-pull", 0, 60)
    assert (verdict.check, verdict.runs) == ("never: alone", LOOK_EVERY)
    assert OWED_MIN == LOOK_EVERY // 4
    assert hunt("no-pull", 1, 18).caught is False  # four of them may be chance


def test_bug_is_caught_when_a_run_does_not_repeat(monkeypatch: pytest.MonkeyPatch):
    differs = {3: "digest"}
    monkeypatch.setattr(mutation, "find_difference", lambda spec: differs.get(spec.seed, ""))
    verdict = hunt("set-order", 2, 5)
    assert (verdict.check, verdict.runs, verdict.seed) == (REPEATABLE, 2, 3)
    verdict = hunt("set-order", 4, 5)
    assert msgspec.structs.asdict(verdict) | {"caught": False, "runs": 5} == (
        msgspec.structs.asdict(verdict)
    )


def test_bug_that_breaks_itself_is_not_caught(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mutation, "run", lambda spec: make_result(spec, "raised-TypeError"))
    with pytest.raises(SimulationError, match="no-pull breaks itself"):
        hunt("no-pull", 0, 1)


def test_hunt_that_fails_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch):
    def run(_spec: Spec) -> Result:
        raise ValueError("a bug of the hunt")

    monkeypatch.setattr(mutation, "run", run)
    with pytest.raises(SimulationError, match=r"mutant no-pull: .*a bug of the hunt"):
        list(score(["no-pull"], seeds=1, workers=1))
