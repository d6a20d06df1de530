"""Drawn runs: enough goes wrong in each, and never more lies than a committee bears."""

from __future__ import annotations

from simulations.consensus.spec import KINDS_MIN, LYING_KINDS, PROFILES, draw_spec

SPECS = [draw_spec(seed) for seed in range(300)]


def test_drawn_runs_have_three_kinds_of_fault_and_all_sizes_and_profiles():
    assert min(len(spec.kinds) for spec in SPECS) >= KINDS_MIN
    assert {len(spec.stakes) for spec in SPECS} == set(range(1, 11))
    assert {spec.profile for spec in SPECS} == set(PROFILES)
    assert {kind for spec in SPECS for kind in spec.kinds} >= set(LYING_KINDS)
    assert any(len(set(spec.stakes)) > 1 for spec in SPECS)


def test_liars_hold_no_more_than_the_profile_bears():
    shares = {"bft3": 3, "bft5": 5}
    for spec in SPECS:
        liars = {fault.node for fault in spec.faults if fault.kind in LYING_KINDS}
        stake = sum(spec.stakes[author] for author in liars)
        if spec.profile == "cft":
            assert not liars
        else:
            assert shares[spec.profile] * stake < sum(spec.stakes)


def test_faults_end_with_the_safety_phase_and_a_seed_is_a_run():
    for spec in SPECS:
        assert all(fault.at_ms + fault.for_ms <= spec.safety_ms for fault in spec.faults)
        assert draw_spec(spec.seed) == spec
