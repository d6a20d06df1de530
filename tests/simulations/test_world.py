"""Worlds of real cores: they mesh, converge, part, crash and come back, bit for bit alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from dag.types import Kind
from meshnode.core.commands import Connect
from meshnode.core.events import Published, PublishFailed
from meshnode.core.inputs import DialEnded
from meshnode.core.messages import Message, Ping
from simulations import (
    Constant,
    NetworkSettings,
    Observer,
    World,
    load_latency,
)
from simulations.clocks import Clock
from simulations.costs import Costs
from simulations.fidelity import FIDELITIES, Fidelity
from simulations.host import Host
from simulations.mesh import Mesh

AWS = NetworkSettings(latency=load_latency("aws-13"), jitter_sigma=0.05, loss=0.01)
NO_COSTS = Costs(input_ns=0, kib_ns=0, sign_ns=0, verify_ns=0, load_ns=0, sync_ns=0)


def make_mesh(count: int = 4, *, seed: int = 1, suite: Any = "ed25519", **options: Any) -> Mesh:
    """A mesh whose hosts are connected and hold each other's profiles."""
    costs = options.pop("costs", None)
    mesh = World(seed, **options).add_mesh(count, suite=suite, costs=costs)
    mesh.world.run_until(lambda: mesh.meshed, limit_ms=20_000)
    settle(mesh, count)
    return mesh


def publish_all(mesh: Mesh, times: int = 1) -> None:
    for number in range(times):
        for host in mesh.up:
            host.publish(b"%d" % number)


def settle(mesh: Mesh, vertices: int, limit_ms: int = 120_000) -> int:
    """Run until every host that is up holds so many vertices, the same ones."""
    return mesh.world.run_until(
        lambda: mesh.converged and mesh.up[0].view().vertices == vertices, limit_ms=limit_ms
    )


# --- meshes --------------------------------------------------------------------------------------


def test_ten_real_cores_converge_part_and_heal():
    mesh = make_mesh(10, network=AWS)
    world = mesh.world
    publish_all(mesh)
    settle(mesh, 20)
    world.cut(mesh[:4], mesh[4:])
    publish_all(mesh)
    world.run_for(5_000)
    assert [host.view().vertices for host in mesh] == [24] * 4 + [26] * 6
    assert not mesh.converged
    world.heal()
    settle(mesh, 30)
    world.run_until(lambda: mesh.meshed, limit_ms=60_000)
    assert world.network.counters.conserved
    assert not any(host.penalties for host in mesh)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_fidelity_changes_the_cost_and_nothing_else(fidelity: Fidelity):
    mesh = make_mesh(fidelity=fidelity)
    publish_all(mesh)
    settle(mesh, 8)
    row = mesh.world.describe()
    assert row["fidelity"] == fidelity
    assert row["digest"] == make_digest("cached")


def make_digest(fidelity: Fidelity) -> str:
    mesh = make_mesh(fidelity=fidelity)
    publish_all(mesh)
    settle(mesh, 8)
    return mesh.world.digest


def test_hybrid_signatures_converge_and_repeat():
    digests = []
    for _ in range(2):
        mesh = make_mesh(3, suite="hybrid")
        publish_all(mesh)
        settle(mesh, 6)
        digests.append(mesh.world.digest)
    assert digests[0] == digests[1]


def test_costs_of_nothing_and_random_ties_converge():
    mesh = make_mesh(4, costs=NO_COSTS, tie_break="random", traced=False)
    publish_all(mesh, 5)
    settle(mesh, 24)


def test_more_hosts_than_founders_join_an_open_network():
    world = World(3)
    mesh = world.add_mesh(130, start=False)
    mesh[1].start()
    mesh[129].start()
    assert mesh[0].settings.genesis.parameters.open
    assert len(mesh[0].settings.genesis.founders) == 128
    assert mesh[129].connect_at_start
    assert len(mesh) == 130
    world.run_for(500)
    assert mesh[129].core.get_ready_peers()


# --- one seed, one run ---------------------------------------------------------------------------

PROGRAM = """
from simulations import NetworkSettings, World, load_latency
world = World(11, network=NetworkSettings(
    latency=load_latency("aws-13"), jitter_sigma=0.1, loss=0.05))
mesh = world.add_mesh(6)
world.run_for(1_500)
for host in mesh:
    host.publish(b"note")
world.run_for(700)
world.cut(mesh[:2], mesh[2:])
mesh[5].crash()
world.run_for(3_000)
mesh[5].start()
world.heal()
world.run_for(3_000)
print(world.digest, world.kernel.events)
"""


def run_program(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_one_seed_gives_one_digest_in_every_process():
    outputs = [run_program(hash_seed) for hash_seed in ("0", "1", "4242")]
    assert outputs[0] == outputs[1] == outputs[2]
    assert int(outputs[0].split()[1]) > 1_000


def test_other_seeds_give_other_digests():
    digests = [make_mesh(3, seed=seed, network=AWS).world.digest for seed in (1, 2)]
    assert digests[0] != digests[1]


# --- crashes -------------------------------------------------------------------------------------


class Durable(Observer):
    """Remembers every vertex that a host's application was told is durable."""

    def __init__(self) -> None:
        self.told: dict[int, list[bytes]] = {}

    def on_fact(self, host: Host, event: Any) -> None:
        if isinstance(event, Published):
            self.told.setdefault(host.index, []).append(event.signed.id)


def keeps_promises(durable: Durable, host: Host) -> bool:
    stored = dict.fromkeys(host.disk.stored_ids())
    return all(item in stored for item in durable.told.get(host.index, []))


@pytest.mark.parametrize("seed", range(6))
def test_crashes_at_random_moments_lose_nothing_that_was_durable(seed: int):
    mesh = make_mesh(4, seed=seed)
    world, durable = mesh.world, Durable()
    world.add_observer(durable)
    stream = world.streams.get("crashes")
    for _ in range(8):
        publish_all(mesh, 2)
        host = mesh[stream.randrange(4)]
        if stream.random() < 0.5:
            host.crash_after = stream.randrange(12)
        world.run_for(stream.random() * 400)
        host.crash()
        assert keeps_promises(durable, host)
        world.run_for(stream.random() * 500)
        host.start()
    world.run_for(5_000)
    world.run_until(lambda: mesh.meshed and mesh.converged, limit_ms=120_000)
    held = dict.fromkeys(mesh[0].disk.stored_ids())
    assert sum(map(len, durable.told.values())) > 30
    assert all(item in held for told in durable.told.values() for item in told)
    assert not any(host.view().forks for host in mesh)
    assert sum(host.life for host in mesh) == 4 + 2 * 8
    assert world.network.counters.conserved


def test_a_crash_that_was_not_synced_may_lose_a_vertex_and_never_forks():
    lost = 0
    for seed in range(12):
        mesh = make_mesh(3, seed=seed, costs=Costs(sync_ns=50_000_000))
        world, durable = mesh.world, Durable()
        world.add_observer(durable)
        mesh[0].publish(b"unsynced")
        world.run_for(20)
        assert mesh[0].disk.unsynced_bytes > 0
        mesh[0].crash()
        assert not durable.told
        mesh[0].crash()  # it is down already
        lost += len(mesh[0].disk.stored_ids()) < 4
        mesh[0].start()
        mesh[0].publish(b"again")
        world.run_for(3_000)
        world.run_for(10_000)
        assert mesh.meshed
        assert mesh.converged
        assert not any(host.view().forks for host in mesh)
        assert len(durable.told[0]) == 1
    assert lost > 0


def test_peers_hear_of_a_crash_and_meet_again():
    mesh = make_mesh(3)
    mesh[2].crash()
    assert not mesh[2].is_up
    with pytest.raises(AssertionError, match="down"):
        _ = mesh[2].core
    mesh.world.run_for(500)
    assert [len(host.view().peers) for host in mesh.up] == [1, 1]
    mesh[2].publish(b"nobody hears")
    mesh[2].start()
    mesh.world.run_until(lambda: len(mesh.up) == 3 and mesh.meshed, limit_ms=30_000)


# --- pauses, slowness, clocks --------------------------------------------------------------------


def test_a_paused_host_catches_up():
    mesh = make_mesh(4)
    mesh[3].pause()
    publish_all(mesh, 3)
    mesh.world.run_for(1_000)
    assert mesh[3].is_paused
    assert mesh[3].queued > 0
    assert mesh[3].view().vertices == 4
    mesh[3].resume()
    mesh[3].resume()  # it runs already
    settle(mesh, 16)


def test_a_host_paused_for_long_is_dropped_and_comes_back():
    mesh = make_mesh(3)
    mesh[2].pause()
    mesh.world.run_for(30_000)
    assert len(mesh[0].view().peers) == 1
    mesh[2].resume()
    mesh.world.run_until(lambda: mesh.meshed, limit_ms=60_000)


def test_a_host_crashed_in_a_pause_that_held_its_timer_ticks_again():
    """Found by seed 724 of the fuzzer: its deadline came while it stood still, and never again."""
    mesh = make_mesh(2)
    mesh[0].pause()
    mesh.world.run_for(30_000)
    mesh[0].crash()
    mesh[0].start()
    mesh.world.run_for(30_000)
    due_ms = mesh[0].core.next_wakeup
    assert due_ms is not None
    assert due_ms >= mesh[0].read_clock_ms()


def test_a_crashed_host_forgets_its_pause():
    mesh = make_mesh(2)
    mesh[0].pause()
    mesh.world.run_for(100)
    mesh[0].crash()
    mesh[0].start()
    assert not mesh[0].is_paused
    mesh.world.run_until(lambda: mesh.meshed, limit_ms=60_000)


def test_a_slow_host_is_late():
    def time_to_publish(slowness: int) -> int:
        mesh = make_mesh(2)
        mesh[0].slowness = slowness
        mesh[0].publish(b"note")
        return settle(mesh, 3)

    assert time_to_publish(100) >= time_to_publish(1) + 100


def test_hosts_live_by_clocks_of_their_own():
    mesh = make_mesh(3)
    mesh[0].clock = Clock(offset_ns=3_000_000_000, skew_ppb=100_000)
    mesh[1].clock = Clock(offset_ns=-500_000_000, drift_ppb_per_h=50_000)
    before_ms = mesh[1].read_clock_ms()
    publish_all(mesh)
    settle(mesh, 6)
    assert mesh[1].read_clock_ms() >= before_ms, "a clock set back stands still"
    ahead_ms = mesh[0].read_clock_ms() - mesh[2].read_clock_ms()
    assert 3_000 <= ahead_ms <= 3_010


# --- links ---------------------------------------------------------------------------------------


def test_a_one_way_cut_breaks_connections_after_detection():
    mesh = make_mesh(3, network=NetworkSettings(latency=Constant(5), detect_ms=300))
    cuts = mesh.world.cut_one_way([mesh[0]], [mesh[1]])
    mesh.world.run_for(100)
    assert mesh.meshed
    mesh.world.run_for(400)
    assert [len(host.view().peers) for host in mesh] == [1, 1, 2]
    mesh.world.heal(cuts)
    mesh.world.run_until(lambda: mesh.meshed, limit_ms=60_000)


def test_a_hidden_host_dials_and_is_not_dialled():
    world = World(1)
    world.network.hide(0)
    mesh = world.add_mesh(3)
    world.run_until(lambda: mesh.meshed, limit_ms=60_000)
    assert not any(peer.inbound for peer in mesh[0].view().peers)


def test_two_hidden_hosts_meet_through_a_third():
    world = World(1)
    mesh = world.add_mesh(3)
    world.network.hide(0)
    world.network.hide(1)
    publish_all(mesh)
    settle(mesh, 6)
    assert not mesh.meshed


def test_a_host_that_is_down_refuses_dials():
    world = World(1)
    mesh = world.add_mesh(2, start=False)
    mesh[0].start()
    world.run_for(20_000)
    tried = mesh[0].view().alone
    assert tried is not None
    assert {result for _, result in tried} == {"refused"}
    mesh[1].start()
    world.run_until(lambda: mesh.meshed, limit_ms=60_000)


def test_twins_are_reached_by_whom_they_are_routed_to():
    mesh = make_mesh(4)
    world, original = mesh.world, mesh[3]
    twin = world.add_host(original.identity, original.settings, start=False)
    world.cut([original], mesh[:2])
    world.cut([twin], [mesh[2]])
    for viewer in mesh[:2]:
        world.links.set_route(viewer, twin)
    twin.start()
    world.run_for(5_000)
    original.publish(b"one")
    twin.publish(b"other")
    world.run_for(5_000)
    assert all(host.view().forks for host in mesh[:3])


def test_a_name_is_connected_once():
    mesh = make_mesh(2)
    world, original = mesh.world, mesh[1]
    twin = world.add_host(original.identity, original.settings)
    world.run_for(3_000)
    assert not twin.links, "the other end holds a connection under this name already"
    assert mesh.meshed


# --- lying hosts ---------------------------------------------------------------------------------


def test_a_mutator_withholds_replaces_and_sends_garbage():
    mesh = make_mesh(3)
    sent: list[str] = []

    def lie(host: Host, peer: str, message: Message) -> Sequence[Message | bytes]:
        assert host is mesh[0]
        sent.append(peer)
        return [] if peer == mesh[1].name else [b"garbage", Ping(1)]

    mesh[0].mutator = lie
    mesh[0].publish(b"note")
    mesh.world.run_for(1_000)
    assert sent
    assert mesh[1].view().vertices == 3
    assert sum(mesh[2].penalties.values()) > 0
    assert not mesh[1].penalties


# --- commands ------------------------------------------------------------------------------------


def test_outcomes_carry_the_token_of_their_command():
    mesh = make_mesh(2)
    token = mesh[0].publish(b"note")
    refused = mesh[0].publish(bytes(20_000), kind=Kind.RESULT)
    mesh.world.run_for(1_000)
    facts = list(mesh[0].facts)
    assert [fact.token for fact in facts if isinstance(fact, Published)] == [token]
    assert [fact.token for fact in facts if isinstance(fact, PublishFailed)] == [refused]


def test_a_name_that_nobody_has_cannot_be_dialled():
    mesh = make_mesh(2)
    mesh[0].submit(Connect("nobody", ("/sim/nowhere",)))
    mesh[1].crash()
    mesh.world.run_for(20_000)
    tried = mesh[0].view().alone
    assert tried is not None
    assert ("/sim/nowhere", "nobody at this address") in tried


def test_a_dialler_that_dies_is_not_connected():
    for delay_ms in (10, 50, 70):  # under way, just accepted, not yet told
        world = World(1)
        mesh = world.add_mesh(2, start=False)
        mesh[1].start()
        world.network.hide(0)
        mesh[0].start()
        world.run_for(delay_ms)
        mesh[0].crash()
        world.run_for(1_000)
        assert not mesh[1].links
        assert world.network.counters.conserved


def test_a_core_begun_anew_hears_nothing_of_a_job_that_ended_while_the_last_one_worked():
    world = World(1)
    (host,) = world.add_mesh(1)
    world.run_for(100)
    host._is_working = True
    host.complete(host.life, 999, DialEnded("late"))
    host._is_working = False
    host._begin_anew()
    world.run_for(100)
    assert host.is_up


def test_a_core_begun_anew_hears_nothing_of_what_the_last_one_dialled():
    world = World(1)
    one, other = world.add_mesh(2)
    world.network.hide(one.index)  # so that it is the one who dials
    while not (link := one.links.get(other.name)):
        world.step()
    assert one.name not in other.heard or not one.heard
    one._begin_anew()
    world.run_for(100)
    assert one.links.get(other.name) is not link
    assert one.heard.get(other.name) is not link
