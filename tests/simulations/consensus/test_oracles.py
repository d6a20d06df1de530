"""What is known of the order from elsewhere: message delays, published latencies, impossibility.

Expected values are computed here, from counting and from published figures, with none of the
library's own arithmetic.
"""

from __future__ import annotations

from statistics import fmean, median, quantiles

import pytest

from consensus.pacemaker import PacemakerSettings
from simulations.consensus.mesh import MeshOptions, ValidatorMesh
from simulations.consensus.spec import Fault, Spec
from simulations.fuzzing.order import run
from simulations.latency import Constant, Latency, Uniform, load_latency
from simulations.network import NetworkSettings
from simulations.world import World

D_MS = 100
NS_PER_MS = 1_000_000
AT_ONCE = PacemakerSettings(minimum_delay_ms=0, leader_timeout_ms=20 * D_MS)


def make_mesh(members: int, latency: Latency, *, loss: float = 0.0, **options) -> ValidatorMesh:
    network = NetworkSettings(latency=latency, loss=loss, reliable=loss > 0)
    world = World(1, network=network)
    return ValidatorMesh(world, members, MeshOptions(pushes_history=False, **options))


def feed(mesh: ValidatorMesh, authors: list[int], first_ms: float, last_ms: float, every_ms: float):
    """Bring batches at a steady rate in turn; answers who was brought which, and when."""
    brought: dict[bytes, int] = {}

    def bring(author: int) -> None:
        brought[mesh.submit(author)] = author

    count = int((last_ms - first_ms) / every_ms)
    for number in range(count):
        mesh.world.at(first_ms + number * every_ms, bring, authors[number % len(authors)])
    return brought


def find_latencies_ms(mesh: ValidatorMesh, brought: dict[bytes, int]) -> list[float]:
    """From being brought to being put out at the same validator."""
    final_ns = mesh.ledger.final_ns
    return [
        (final_ns[batch, author] - mesh.batches[batch]) / NS_PER_MS
        for batch, author in brought.items()
    ]


def run_constant(members: int, leaders: int, *, drained: bool) -> ValidatorMesh:
    """Batches spread evenly over each of sixteen rounds, at every validator alike."""
    mesh = make_mesh(
        members, Constant(D_MS), leaders_per_round=leaders, drained=drained, pace=AT_ONCE
    )
    for author in range(members):
        mesh.world.at(0, mesh.submit, author)
        feed(mesh, [author], 5, 16 * D_MS + 5, 10)
    mesh.world.run_for(20 * D_MS)
    return mesh


def find_all_latencies_ms(mesh: ValidatorMesh) -> list[float]:
    """At every validator, of what was brought from the sixth to the fifteenth round."""
    return [
        (final_ns - mesh.batches[batch]) / NS_PER_MS
        for (batch, _), final_ns in mesh.ledger.final_ns.items()
        if 5 * D_MS <= mesh.batches.get(batch, 0) / NS_PER_MS < 15 * D_MS
    ]


# --- V12: delays of an uncertified DAG ------------------------------------------------------------


@pytest.mark.parametrize(("members", "leaders"), [(4, 1), (4, 2), (4, 4), (10, 1)])
def test_v12_leaders_commit_after_exactly_three_delays(members: int, leaders: int):
    mesh = run_constant(members, leaders, drained=True)
    ledger = mesh.ledger
    took_ms = [
        (now_ns - ledger.made_ns[commit.leader]) / NS_PER_MS
        for commit, now_ns in zip(ledger.commits, ledger.committed_ns, strict=True)
    ]
    assert len(took_ms) >= 12
    assert took_ms == [3.0 * D_MS] * len(took_ms)


@pytest.mark.parametrize(
    ("members", "leaders", "expected_ms"),
    [(4, 1, 425.0), (10, 1, 440.0), (4, 2, 400.0), (4, 4, 350.0)],
)
def test_v12_mean_latency_is_the_counted_one(members: int, leaders: int, expected_ms: float):
    counted = 0.5 * D_MS + (3 * leaders + 4 * (members - leaders)) * D_MS / members
    assert counted == expected_ms
    mesh = run_constant(members, leaders, drained=True)
    assert fmean(find_all_latencies_ms(mesh)) == pytest.approx(counted, rel=1e-9)


@pytest.mark.parametrize("members", [4, 10])
def test_v12_blocks_made_at_the_quorum_cost_little_more(members: int):
    mesh = run_constant(members, 1, drained=False)
    assert fmean(find_all_latencies_ms(mesh)) <= 4.65 * D_MS


def test_v12_two_delays_at_wave_two():
    mesh = make_mesh(6, Constant(D_MS), profile="bft5", pace=AT_ONCE)
    for author in range(6):
        feed(mesh, [author], 0, 12 * D_MS, 50)
    mesh.world.run_for(12 * D_MS)
    ledger = mesh.ledger
    took_ms = {
        (now_ns - ledger.made_ns[commit.leader]) / NS_PER_MS
        for commit, now_ns in zip(ledger.commits, ledger.committed_ns, strict=True)
    }
    assert took_ms == {2.0 * D_MS}


def test_jittered_links_give_the_figures_of_an_independent_model():
    """n = 10 on 50 to 100 ms: a separate simulation finds leaders at 248 ms and rounds of 84."""
    mesh = make_mesh(10, Uniform(50.0, 100.0), drained=False, pace=AT_ONCE)
    feed(mesh, list(range(10)), 1, 6_000, 50)
    mesh.world.run_for(6_000)
    ledger = mesh.ledger
    took_ms = [
        (now_ns - ledger.made_ns[commit.leader]) / NS_PER_MS
        for commit, now_ns in zip(ledger.commits, ledger.committed_ns, strict=True)
    ]
    assert fmean(took_ms) == pytest.approx(248, rel=0.06)
    assert 6_000 / max(block[1] for block in ledger.made) == pytest.approx(84, rel=0.06)


# --- measured networks ----------------------------------------------------------------------------


def run_aws(dead: tuple[int, ...], warm_ms: int) -> list[float]:
    """Ten validators in ten AWS regions; latencies in ms once leaders have been chosen."""
    mesh = make_mesh(10, load_latency("aws-13"), reputation_window=30, drained=False)
    for author in dead:
        mesh.world.at(1, mesh.crash, mesh.validators[author])
    live = [author for author in range(10) if author not in dead]
    feed(mesh, live, 2, warm_ms, 100)
    brought = feed(mesh, live, warm_ms, warm_ms + 5_000, 13)
    mesh.world.run_for(warm_ms + 7_000)
    return find_latencies_ms(mesh, brought)


def test_aws_latencies_are_those_that_were_published():
    healthy = run_aws((), 5_000)
    assert median(healthy) <= 520
    crashed = run_aws((2, 5, 8), 20_000)
    assert quantiles(crashed, n=20)[18] <= 2 * quantiles(healthy, n=20)[18]


# --- V22: safety under f ----------------------------------------------------------------------------


def run_twins(members: int, liars: int, seed: int) -> str:
    faults = tuple(Fault("twins", node=author) for author in range(liars))
    spec = Spec(seed=seed, stakes=(1,) * members, faults=faults, safety_ms=1_500, sigma=0.5)
    return run(spec).check


@pytest.mark.parametrize(("members", "seeds"), [(4, 6), (7, 2)])
def test_v22_f_twins_never_part_the_honest(members: int, seeds: int):
    assert [run_twins(members, (members - 1) // 3, seed) for seed in range(seeds)] == [""] * seeds


def test_v22_one_twin_more_is_found_to_part_them():
    found = {run_twins(4, 2, seed) for seed in range(4)}
    assert found & {"I1 slot", "I2 prefix", "raised-BrokenFaultBound"}


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
    mesh = make_mesh(4, Constant(20), loss=loss)
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
