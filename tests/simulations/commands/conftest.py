"""Runs that cost nothing, for the commands of the fuzzer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulations.commands import fuzz, replay, shrink
from simulations.fuzzing.spec import Spec
from tests.support.fuzz_results import make_result


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 3 is broken while any of its faults is left; all else is clean."""

    def run(spec: Spec):
        return make_result(spec, "liveness" if spec.seed == 3 and spec.faults else "")

    def run_all(specs: list[Spec], workers: int) -> Iterator[object]:
        assert workers > 0
        yield from map(run, specs)

    monkeypatch.setattr(replay, "run", run)
    monkeypatch.setattr(shrink, "run", run)
    monkeypatch.setattr("simulations.fuzzing.shrink.run", run)
    monkeypatch.setattr("simulations.fuzzing.mutation.run", run)
    monkeypatch.setattr(fuzz, "run_all", run_all)
