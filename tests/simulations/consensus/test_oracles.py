"""What is known of the order from elsewhere: message delays, published latencies, impossibility.

Expected values are computed here, from counting and from published figures, with none of the
library's own arithmetic.
"""

from __future__ import annotations

from statistics import fmean

import pytest

from simulations.consensus.figures import AT_ONCE, D_MS, feed, list_leader_delays, make_mesh
from simulations.consensus.run import Run
from simulations.consensus.spec import Fault, Spec
from simulations.latency import Constant, Uniform
from simulations.network import NetworkSettings

FORKS = ("I1", "I2", "I4", "I6", "raised-BrokenFaultBound")
"""Checks that name two orders, or what leads to them."""


# --- V12: delays of an uncertified DAG ------------------------------------------------------------


def test_v12_two_delays_at_wave_two():
    mesh = make_mesh(6, Constant(D_MS), profile="bft5", pace=AT_ONCE)
    for author in range(6):
        feed(mesh, [author], 0, 12 * D_MS, 50)
    mesh.world.run_for(12 * D_MS)
    assert set(list_leader_delays(mesh)) == {2.0}


def test_jittered_links_give_the_figures_of_an_independent_model():
    """n = 10 on 50 to 100 ms: a separate simulation finds leaders at 248 ms and rounds of 84."""
    mesh = make_mesh(10, Uniform(50.0, 100.0), drained=False, pace=AT_ONCE)
    feed(mesh, list(range(10)), 1, 6_000, 50)
    mesh.world.run_for(6_000)
    assert fmean(list_leader_delays(mesh)) * D_MS == pytest.approx(248, rel=0.06)
    assert 6_000 / max(block[1] for block in mesh.ledger.made) == pytest.approx(84, rel=0.06)


# --- V22: safety under f ----------------------------------------------------------------------------


def run_twins(members: int, liars: int, seed: int) -> tuple[str, int]:
    """What is found, and of how many authors the honest hold twins, taken together."""
    faults = tuple(Fault("twins", node=author) for author in range(liars))
    spec = Spec(seed=seed, stakes=(1,) * members, faults=faults, safety_ms=1_500, sigma=0.5)
    run = Run(spec)
    return run.carry_out().check, len(run.mesh.ledger.twinned)


@pytest.mark.parametrize(("members", "seeds"), [(4, 6), (7, 2)])
def test_v22_f_twins_never_part_the_honest(members: int, seeds: int):
    found = [run_twins(members, (members - 1) // 3, seed)[0] for seed in range(seeds)]
    assert found == [""] * seeds


def test_v22_one_twin_more_is_found_to_part_them_and_proved_by_what_they_signed():
    parted = 0
    for seed in range(6):
        check, twinned = run_twins(4, 2, seed)
        if check:
            assert check.split()[0] in FORKS
            assert twinned == 2
            parted += 1
    assert parted > 0


def test_v22_more_crashes_than_f_halt_the_order_and_never_fork_it():
    mesh = make_mesh(4, Constant(20))
    feed(mesh, [0, 1], 1, 10_000, 40)
    for author in (2, 3):
        mesh.world.at(2_000, mesh.crash, mesh.validators[author])
    mesh.world.run_for(3_000)
    halted = len(mesh.ledger.commits)
    mesh.world.run_for(3_000)
    assert len(mesh.ledger.commits) == halted > 0
    mesh.restart(mesh.validators[2])
    mesh.world.run_for(4_000)
    assert len(mesh.ledger.commits) > halted + 10


# --- V23: partitions --------------------------------------------------------------------------------


def run_partition(loss: float) -> tuple[int, float]:
    """Two against two for 4 s: commits in between, and the time to the first after it."""
    mesh = make_mesh(4, Constant(20))
    weather = NetworkSettings(latency=Constant(20), loss=loss, reliable=loss > 0)
    mesh.world.network.change(weather)
    feed(mesh, [0, 1, 2, 3], 1, 12_000, 40)
    mesh.world.run_for(2_000)
    cuts = mesh.world.cut(mesh.contexts[:2], mesh.contexts[2:])
    mesh.world.run_for(500)
    before = len(mesh.ledger.commits)
    mesh.world.run_for(3_500)
    between = len(mesh.ledger.commits) - before
    mesh.world.heal(cuts)
    mesh.world.network.change(NetworkSettings(latency=Constant(20)))
    begun_ms = mesh.world.now_ms
    count = len(mesh.ledger.commits)
    mesh.world.run_until(lambda: len(mesh.ledger.commits) > count, 5_000)
    took_ms = mesh.world.now_ms - begun_ms
    mesh.world.run_for(1_000)
    return between, took_ms


def test_v23_nothing_is_ordered_below_a_quorum_and_soon_after_it_heals():
    between, took_ms = run_partition(0.0)
    assert between == 0
    # The last block is said again every 300 ms, a leader is waited for 400 ms, a round takes 50.
    assert took_ms <= 300 + 400 + 10 * 50


def test_v23_what_was_lost_before_does_not_slow_what_comes_after():
    between, took_ms = run_partition(0.2)
    assert between == 0
    assert took_ms <= 300 + 400 + 10 * 50


def test_healthy_rounds_differ_by_one_at_most():
    mesh = make_mesh(7, Constant(20))
    feed(mesh, list(range(7)), 1, 3_000, 40)
    for _ in range(60):
        mesh.world.run_for(47)
        rounds = [one.pacemaker.own_round for one in mesh.validators]
        assert max(rounds) - min(rounds) <= 1
