"""A run in another process, which hashes differently, is the same run."""

from __future__ import annotations

import io
import sys

import msgspec
import pytest

from simulations.errors import SimulationError
from simulations.fuzzing import repetition
from simulations.fuzzing.repetition import find_difference, main, run_apart
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.spec import draw_spec

SMALL = msgspec.structs.replace(
    draw_spec(7), nodes=4, safety_ms=1_500, publications=20, faults=(), tie_break="random"
)


def test_run_gives_the_same_whatever_its_process_hashes_to():
    assert find_difference(SMALL) == ""
    assert run_apart(SMALL, 3) == run(SMALL)


def test_order_of_a_set_shows():
    assert find_difference(msgspec.structs.replace(SMALL, mutant="set-order")) == "digest"


def test_module_reads_a_spec_and_writes_a_result(monkeypatch: pytest.MonkeyPatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(msgspec.json.encode(SMALL))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    main()
    sys.stdout.flush()
    assert msgspec.json.decode(written.getvalue(), type=Result) == run(SMALL)


def test_process_that_fails_or_never_ends_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch):
    unknown = msgspec.structs.replace(SMALL, mutant="gremlin")
    with pytest.raises(SimulationError, match=r"seed 7 could not be run apart: .*gremlin"):
        run_apart(unknown, 1)
    monkeypatch.setattr(repetition, "WAIT_MAX_S", 0.01)
    with pytest.raises(SimulationError, match="more than"):
        run_apart(SMALL, 1)
