"""The order in simulated meshes, and a checker that notices every way in which it could be broken."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from dag.genesis import Parameters
from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from meshnode.core.events import Committed, OrderHalted, OrderResumed, PeerLost
from meshnode.core.recovered import HEAD_KEY
from simulations.books import Books
from simulations.errors import CheckFailed
from simulations.order_checker import Order
from simulations.world import World


def make_world(count: int = 4, *, parameters: Parameters | None = None) -> tuple[World, Order]:
    world = World(1)
    mesh = world.add_mesh(count, validates=True, parameters=parameters, start=False)
    books = Books(mesh)
    order = Order(mesh, books)
    world.add_observer(books)
    world.add_observer(order)
    for host in mesh:
        host.start()
    return world, order


@pytest.fixture
def scene():
    world, order = make_world()
    world.run_for(3_000)
    assert len(order.commits) > 2
    return world, order


def tell(scene, event, host: int = 0) -> None:
    world, order = scene
    order.on_fact(world.hosts[host], event)


def chain(order: Order, vertices=(), *, time_ms: int | None = None) -> Commit:
    last = order.commits[-1]
    time_ms = last.time_ms if time_ms is None else time_ms
    digest = compute_commit_digest(last.digest, last.index + 1, b"leader", vertices, time_ms)
    return Commit(last.index + 1, digest, last.digest, b"leader", vertices, time_ms)


def refuse(scene, commit: Commit, check: str, host: int = 0) -> None:
    disk = scene[0].hosts[host].disk
    disk.read_value = lambda key: b"\x93\xcd\xff\xff\xc4\x00\x00" if key == HEAD_KEY else b""
    with pytest.raises(CheckFailed) as caught:
        tell(scene, Committed(commit), host)
    assert caught.value.check == check


def test_hosts_agree_on_one_order_through_crashes():
    world, order = make_world()
    hosts = world.hosts
    for number in range(40):
        world.at(500 + 150 * number, _publish, hosts, number)
    for number, at_ms in enumerate((1_500, 2_700, 4_100)):
        world.at(at_ms, hosts[number].crash)
        world.at(at_ms + 700, hosts[number].start)
    world.run_for(7_500)
    took_ms = world.run_until(
        lambda: all(host.summarise().unordered == 0 for host in hosts), limit_ms=20_000
    )
    assert took_ms < 20_000
    assert len({host.summarise().commit_index for host in hosts}) == 1
    assert hosts[0].summarise().commit_index == len(order.commits) == hosts[0].applied
    stored = hosts[3].disk.stored_ids()
    speech = [v for v in stored if order._books.vertices[v].vertex.lane == 0]
    assert order.find_missing(speech) == []
    assert order.find_missing([bytes(32)]) == [bytes(32)]


def _publish(hosts, number: int) -> None:
    host = hosts[number % 4]
    if host.is_up:
        host.publish(number.to_bytes(2, "big"))


def test_a_commit_told_twice_or_left_out_is_noticed(scene):
    _, order = scene
    refuse(scene, order.commits[-1], "told-once")
    refuse(scene, replace(chain(order), index=len(order.commits) + 2), "told-once")


def test_another_commit_in_a_place_is_noticed(scene):
    _, order = scene
    tell_next = chain(order)
    order.commits.append(replace(tell_next, leader=b"another"))
    refuse(scene, tell_next, "one-order")


def test_a_commit_told_before_its_record_is_noticed(scene):
    world, order = scene
    with pytest.raises(CheckFailed, match="too early"):
        tell(scene, Committed(chain(order)))
    world.hosts[1].disk.read_value = lambda _key: b""
    with pytest.raises(CheckFailed, match="too early"):
        tell(scene, Committed(chain(order)), 1)


def test_a_broken_chain_is_noticed(scene):
    _, order = scene
    refuse(scene, replace(chain(order), previous_digest=GENESIS_COMMIT_DIGEST), "commit-chained")


def test_time_that_runs_backwards_is_noticed(scene):
    refuse(scene, chain(scene[1], time_ms=1), "commit-time")


def test_a_vertex_put_out_twice_is_noticed(scene):
    _, order = scene
    refuse(scene, chain(order, order.commits[0].vertices[:1]), "ordered-once")


def test_a_vertex_put_out_before_its_parents_is_noticed(scene):
    world, order = scene
    world.hosts[0].publish()
    world.run_for(2_000)
    vertex = next(
        signed
        for signed in order._books.vertices.values()
        if signed.vertex.lane == 0 and signed.vertex.parents
    )
    ref = vertex.ref
    order._places.clear()
    refuse(scene, chain(order, (ref,)), "parents-first")


def test_who_goes_on_from_a_snapshot_is_told_nothing_twice(scene):
    order = scene[1]
    order._told[scene[0].hosts[0].index] = 0
    tell(scene, OrderResumed(2))
    for index in (2, len(order.commits) + 1):
        with pytest.raises(CheckFailed, match="goes on after"):
            tell(scene, OrderResumed(index))


def test_a_laggard_joins_from_a_snapshot_inside_its_process():
    world, order = make_world(parameters=Parameters(checkpoint_commits=10, gc_commits=10))
    world.run_for(3_000)
    laggard, *others = world.hosts
    laggard.crash()
    for host in others:
        host.settings = dataclasses.replace(host.settings, prunes=True)
        host.crash()
        host.start()
    number = 0
    while len(order.commits) < 150:
        others[number % 3].publish(b"%d" % number)
        world.run_for(400)
        number += 1
    lives = laggard.life
    laggard.start()
    world.run_for(20_000)
    assert laggard.life == lives + 2
    laggard.publish(b"back")
    world.run_for(5_000)
    assert {host.applied for host in world.hosts} == {len(order.commits)}


def test_an_order_that_halts_is_noticed(scene):
    with pytest.raises(CheckFailed, match="two ways"):
        tell(scene, OrderHalted("two ways"))
    tell(scene, PeerLost("peer", b"author", "gone"))
    liar = scene[0].hosts[0]
    scene[1]._told.pop(liar.index)
    tell(scene, OrderHalted("nobody listens"))
