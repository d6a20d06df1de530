"""Whole runs: the same twice, every request ends once, and faults do what they say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulations.serving.outcome import Figures, Outcome, limit_first_token_ms, quantile
from simulations.serving.policies import POLICIES
from simulations.serving.run import Spec, run

REQUESTS = 100


def run_short(policy: str = "meshnode", **changes) -> Figures:
    return run(Spec(policy=policy, trace="chat", requests=REQUESTS, **changes))


def strip(figures: Figures) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(figures)
    return fields


@pytest.mark.parametrize("policy", POLICIES)
def test_every_request_ends_once_and_runs_repeat(policy: str):
    figures = run_short(policy)
    assert figures.requests == REQUESTS
    assert figures.answered + sum(figures.errors.values()) == REQUESTS
    assert 0.5 < figures.good <= 1.0
    assert figures.joint <= figures.good
    assert strip(figures) == strip(run_short(policy))


def test_seed_matters():
    assert strip(run_short(seed=1)) != strip(run_short(seed=2))


def test_ours_is_at_least_as_good_as_the_simple_ones():
    ours = run_short()
    assert ours.joint >= run_short("random").joint
    assert ours.joint >= 0.95


@pytest.mark.parametrize("fault", ["straggler", "killed", "partition", "rubbish", "rate-limit"])
def test_faults_cost_ours_little(fault: str):
    figures = run_short(fault=fault)
    assert figures.requests == REQUESTS
    assert figures.good > 0.85
    assert figures.errors.get("unfinished", 0) == 0


def test_limits_open_no_breaker():
    assert "breaker" not in run_short(fault="rate-limit", load=2.0).counts


def test_straggler_hurts_those_who_do_not_look():
    slowed = run_short("round-robin", fault="straggler", slowdown=50.0)
    assert slowed.good < run_short("round-robin").good - 0.02


def test_impatient_users_leave_in_an_overload():
    figures = run_short("p2c", load=20.0, is_strict=True)
    assert figures.errors["deadline"] > 10
    assert figures.wasted_tokens > 0
    assert figures.ttft_p95 < 30


def test_chunks_and_other_fleets_are_possible():
    figures = run_short(fleet="drawn", replicas=3, routers=2, is_chunked=True)
    assert figures.requests == REQUESTS


def test_file_is_run_like_any_trace(tmp_path: Path):
    path = tmp_path / "two.jsonl"
    path.write_text(
        '{"timestamp": 0, "input_length": 700, "output_length": 1, "hash_ids": [1, 2]}\n'
        '{"timestamp": 60000, "input_length": 700, "output_length": 5, "hash_ids": [1, 2]}\n'
    )
    figures = run(Spec(policy="lmetric", trace=str(path), replicas=1, routers=1))
    assert figures.answered == 2
    assert figures.hit_rate == pytest.approx(0.5, abs=0.01)
    assert len(run(Spec(policy="lmetric", trace=str(path), requests=1)).ttft_s) == 1


def test_outcome_is_good_within_its_limit_and_joint_at_a_readable_pace():
    outcome = Outcome(0, 0, 4_000, 10, "", 3_000.0, 50.0, 3_500.0, 0, 0)
    assert limit_first_token_ms(4_000) == 3_000
    assert outcome.is_good
    assert outcome.is_joint
    assert not outcome._replace(first_ms=3_001.0).is_good
    assert not outcome._replace(error="gone").is_good
    assert not outcome._replace(tpot_ms=51.0).is_joint


def test_quantile_of_nothing_is_nothing():
    assert quantile([], 0.5) == 0
    assert quantile([1, 2, 3, 4], 0.5) == 3
