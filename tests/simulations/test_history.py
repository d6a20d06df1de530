"""Worlds whose members joined long before the first event."""

from __future__ import annotations

from dag.genesis import FOUNDERS_MAX
from dag.types import Kind
from simulations import World
from simulations.history import make_past
from simulations.identities import make_genesis, make_identity


def test_a_past_holds_a_profile_of_each_and_ends_in_one_head():
    people = [make_identity(n.to_bytes(32, "big"), f"p{n}", "ed25519") for n in range(5)]
    past = make_past(make_genesis(people, "ed25519"), people)
    vertices = [signed.vertex for signed in past.vertices]
    assert [vertex.author for vertex in vertices] == [person.author for person in people]
    assert {(vertex.kind, vertex.seq) for vertex in vertices} == {(Kind.PROFILE, 0)}
    assert [vertex.lamport for vertex in vertices] == [1, 2, 3, 4, 5]


def test_members_that_know_each_other_mesh_without_a_single_admission():
    world = World(seed=1)
    mesh = world.add_mesh(6, known_members=True)
    world.run_until(lambda: mesh.meshed, limit_ms=10_000)
    world.run_for(2_000)
    assert mesh.converged
    assert [host.summarise().vertices for host in mesh] == [6] * 6
    assert not any(host.disk.vertex_count - 6 for host in mesh)


def test_members_that_know_each_other_speak_and_come_back():
    world = World(seed=2)
    mesh = world.add_mesh(6, known_members=True)
    world.run_until(lambda: mesh.meshed, limit_ms=10_000)
    for host in mesh:
        host.publish(b"note")
    mesh[2].crash()
    world.run_for(2_000)
    mesh[2].start()
    world.run_until(lambda: mesh.converged and mesh[0].summarise().vertices >= 11, limit_ms=30_000)
    assert not any(host.penalties for host in mesh)


def test_more_members_than_founders_need_nobody_to_lead_them():
    world = World(seed=3, traced=False)
    mesh = world.add_mesh(FOUNDERS_MAX + 8, known_members=True)
    assert not any(host.connect_at_start for host in mesh)
    world.run_for(3_000)
    mesh[-1].publish(b"note")
    world.run_for(4_000)
    assert {host.summarise().vertices for host in mesh} == {FOUNDERS_MAX + 9}
