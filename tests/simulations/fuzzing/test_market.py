"""One run of the campaign over markets, and its repetition in another process."""

from __future__ import annotations

import io
import sys

import msgspec
import pytest

from simulations.folding.spec import Spec
from simulations.fuzzing import market
from simulations.fuzzing.market import Result, main, run

SMALL = Spec(seed=3, copies=2, commits=5, talk=3, kinds=("lag", "garbage", "snapshot"))


def test_run_is_the_same_in_a_process_that_hashes_otherwise():
    apart = run(msgspec.structs.replace(SMALL, apart=True))
    assert apart == run(SMALL)
    assert apart.check == ""


def test_bug_that_rests_on_hashes_shows_in_another_process(monkeypatch: pytest.MonkeyPatch):
    other = msgspec.structs.replace(run(SMALL), digest="another")
    monkeypatch.setattr(market, "run_apart", lambda _spec: other)
    result = run(msgspec.structs.replace(SMALL, apart=True))
    assert result.check == "P11 processes"
    assert "another" in result.message


def test_run_that_is_broken_is_not_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(market, "run_apart", None)
    spec = msgspec.structs.replace(SMALL, apart=True, mutant="collateral-lost", commits=60)
    assert run(spec).check == "P5 money"


def test_module_reads_a_spec_and_writes_a_result(monkeypatch: pytest.MonkeyPatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(msgspec.json.encode(SMALL))))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))
    main()
    sys.stdout.flush()
    assert msgspec.json.decode(written.getvalue(), type=Result) == run(SMALL)
