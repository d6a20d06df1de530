"""Whom a node dials, when, and when it says that nobody answers."""

from __future__ import annotations

import msgspec
import pytest

from dag.authors import Author
from dag.canonical import encode
from dag.errors import Offence
from dag.types import Kind
from meshnode.core.commands import Connect, Found, Leave
from meshnode.core.effects import Dial
from meshnode.core.events import Alone
from meshnode.core.inputs import Completed, DialEnded
from meshnode.core.membership import ABSENT_FAILURES, STRANGERS_MAX
from meshnode.core.transport_id import compute_transport_id
from tests.support.core_net import CoreNet, make_addressed_genesis
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.lone_core import LoneCore


def names(count):
    return sorted(compute_transport_id(make_person(n).keys.libp2p_key) for n in range(count))


def dials(effects):
    return [effect for effect in effects if isinstance(effect, Dial)]


def fail(lone, dial, error="refused"):
    return lone.handle(Completed(lone.now_ms, dial.job, DialEnded(error)))


def test_smaller_transport_id_dials_at_once_and_the_larger_waits():
    genesis = make_addressed_genesis([make_person(n) for n in range(4)])
    lone = LoneCore(genesis=genesis)
    own = lone.settings.transport
    others = [name for name in names(4) if name != own]
    first = [dial.peer for dial in dials(lone.started)]
    assert sorted(first) == [name for name in others if name > own]
    assert not dials(lone.tick(99))
    second = [dial.peer for dial in dials(lone.tick(1))]
    assert sorted(second) == [name for name in others if name < own]


def test_failed_dials_back_off_with_jitter_up_to_a_minute():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/a", "/b"))))
    assert dial.addresses == ("/a", "/b")
    waits = []
    for _ in range(9):
        assert not dials(lone.tick(0))
        fail(lone, dial)
        start_ms = lone.now_ms
        found: list[Dial] = []
        while not found:
            assert lone.node.next_wakeup is not None
            found = dials(lone.tick(max(0, lone.node.next_wakeup - lone.now_ms)))
        (dial,) = found
        waits.append(lone.now_ms - start_ms)
    expected = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    for wait_ms, middle_ms in zip(waits, expected, strict=True):
        assert 0.8 * middle_ms <= wait_ms <= 1.2 * middle_ms
    assert waits != expected


def test_stable_connection_resets_the_back_off():
    lone = LoneCore()
    peer = "zz"
    (dial,) = dials(lone.submit(Connect(peer, ("/a",))))
    for _ in range(3):
        fail(lone, dial)
        (dial,) = dials(lone.tick(6_000))
    lone.connect_raw(peer)
    lone.handle(Completed(lone.now_ms, dial.job, DialEnded("")))
    lone.now_ms += 60_000
    lone.disconnect(peer)
    assert dials(lone.tick(1_200))


def test_who_could_not_be_reached_is_dialled_when_another_such_peer_is_reached_again():
    """A cut has ended: nobody waits out what the back-off has grown to meanwhile."""
    lone = LoneCore()
    failed = dials(lone.submit(Connect("yy", ("/a",))))
    failed += dials(lone.submit(Connect("zz", ("/b",))))
    for _ in range(6):
        for dial in failed:
            fail(lone, dial)
        failed = dials(lone.tick(60_000))
    for dial in failed:
        fail(lone, dial)
    assert not dials(lone.tick(1_000))
    lone.connect_raw("yy")
    assert [dial.peer for dial in dials(lone.tick(100))] == ["zz"]


def test_who_has_just_been_lost_is_not_dialled_sooner_because_another_comes():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/b",))))
    lone.connect_raw("zz")
    lone.handle(Completed(lone.now_ms, dial.job, DialEnded("")))
    lone.disconnect("zz")
    failed = dials(lone.submit(Connect("yy", ("/a",))))
    fail(lone, failed[0])
    lone.connect_raw("yy")
    assert not dials(lone.tick(100))


def test_short_connection_keeps_the_back_off():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/a",))))
    for _ in range(3):
        fail(lone, dial)
        (dial,) = dials(lone.tick(6_000))
    lone.connect_raw("zz")
    fail(lone, dial, "")
    lone.disconnect("zz")
    assert not dials(lone.tick(6_000))


def test_connected_peers_are_not_dialled():
    genesis = make_addressed_genesis([make_person(n) for n in range(2)])
    lone = LoneCore(genesis=genesis)
    lone.greet()
    lone.disconnect("nobody")
    for _ in range(3):
        assert not dials(lone.tick(4_000))


def test_members_whose_profile_comes_while_they_are_connected_are_not_dialled():
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(1)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet(addresses=())
    person = builder.people[guest]
    lone.receive(peer, lone.vertices(*builder.vertices[1:]))
    other = lone.connect(person)
    lone.receive(other, lone.hello(other, author=person.author))
    lone.prove(other, person)
    assert not dials(lone.tick(4_000))


def test_banned_peers_are_dialled_when_the_ban_has_ended():
    lone = LoneCore()
    peer = lone.greet()
    lone.reject(peer, Offence.MALFORMED, "x")
    lone.disconnect(peer)
    ban_ms = lone.settings.timing.ban_ms
    assert not dials(lone.tick(ban_ms // 2))
    assert dials(lone.tick(ban_ms // 2 + 500))


def test_profile_of_somebody_else_does_not_push_out_a_peers_own_addresses():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet(addresses=("/own/1", "/own/2"))
    lone.receive(peer, lone.vertices(*builder.vertices))
    person = make_person(len(builder.people))
    builder.people.append(person)
    body = msgspec.structs.replace(
        person.profile(builder.invite(1, 2), tuple(f"/false/{n}" for n in range(8))),
        libp2p_key=lone.partner.keys.libp2p_key,
    )
    false = builder.vertex(
        2, kind=Kind.PROFILE, body=encode(body), parents=[builder.profile_ref(1)]
    )
    lone.receive(peer, lone.vertices(false))
    assert lone.node.is_stored(false.id)
    lone.disconnect(peer)
    (dial,) = dials(lone.tick(3_000))
    assert dial.addresses[:3] == ("/own/1", "/own/2", "/false/0")


def test_addresses_from_hello_are_remembered_over_restarts():
    lone = LoneCore()
    lone.greet(addresses=("/from-hello",))
    lone.restart()
    found = dials(lone.started) + dials(lone.tick(500))
    assert [dial.addresses for dial in found] == [("/from-hello",)]


def test_address_book_is_bounded():
    lone = LoneCore(members_max=1)
    lone.greet(addresses=("/a",))
    assert "address-book" not in lone.values


def test_stored_book_keeps_the_latest():
    lone = LoneCore()
    membership = lone.node._membership
    for number in range(300):
        membership._stored[f"p{number:03}"] = ("/x",)
    lone.greet(addresses=("/a",))
    assert len(membership._stored) == 256
    assert "p000" not in membership._stored


def test_large_networks_are_not_dialled_as_a_whole():
    people = [make_person(n) for n in range(30)]
    lone = LoneCore(genesis=make_addressed_genesis(people), full_mesh_max=4)
    found = [
        dial.peer for dial in dials(lone.started) + dials(lone.tick(0)) + dials(lone.tick(500))
    ]
    assert len(found) == len(dict.fromkeys(found)) == lone.settings.limits.outbound_min
    asked = next(name for name in names(30) if name not in found and name > lone.settings.transport)
    assert [dial.peer for dial in dials(lone.submit(Connect(asked, ("/asked",))))] == [asked]


def test_members_whose_dials_keep_failing_do_not_make_a_network_large():
    people = [make_person(n) for n in range(5)]
    lone = LoneCore(genesis=make_addressed_genesis(people), full_mesh_max=4)
    membership = lone.node._membership
    assert membership.is_large
    for number, name in enumerate([name for name in names(5) if name != lone.settings.transport]):
        membership._count_failures(membership._contacts[name], ABSENT_FAILURES)
        assert membership.is_large == (number < 1)
    for name in list(membership._contacts):
        membership.connected(lone.now_ms, name)
    assert membership.is_large


def test_being_alone_is_told_with_what_was_tried():
    genesis = make_addressed_genesis([make_person(n) for n in range(2)])
    lone = LoneCore(genesis=genesis)
    found = dials(lone.started) + dials(lone.tick(500))
    fail(lone, found[0], "no route")
    assert lone.node.view().alone is None
    lone.tick(14_500)
    assert lone.node.view().alone == (("/sim/peer-1", "no route"),)
    (alone,) = [event for event in lone.events if isinstance(event, Alone)]
    assert alone.tried == (("/sim/peer-1", "no route"),)
    lone.tick(59_000)
    assert len([event for event in lone.events if isinstance(event, Alone)]) == 1
    lone.tick(1_000)
    assert len([event for event in lone.events if isinstance(event, Alone)]) == 2


def test_being_alone_is_told_after_the_last_peer_has_gone():
    lone = LoneCore()
    peer = lone.greet()
    second = lone.greet(make_person(0), transport="x", ready=False)
    lone.disconnect(second)
    lone.tick(4_000)
    lone.disconnect(peer)
    lone.tick(14_000)
    assert not [event for event in lone.events if isinstance(event, Alone)]
    lone.tick(1_000)
    assert [event for event in lone.events if isinstance(event, Alone)]


def test_node_that_knows_nobody_is_not_alone():
    net = CoreNet(1)
    net.start()
    net.run(60_000)
    assert net.hosts[0].find(Alone) == []


def test_node_that_leaves_dials_nobody():
    lone = LoneCore()
    lone.submit(Leave("bye"))
    assert not dials(lone.submit(Connect("zz", ("/a",))))
    assert not dials(lone.tick(1_000))


def test_loss_of_one_of_two_peers_is_not_being_alone():
    net = CoreNet(3)
    net.start()
    net.run(1_000)
    net.hosts[0].crash()
    net.run(20_000)
    assert net.hosts[1].find(Alone) == []


def test_mesh_of_restarted_nodes_finds_together_within_seconds():
    net = CoreNet(4)
    net.start()
    net.run(1_000)
    net.hosts[1].crash()
    net.run(3_000)
    net.hosts[1].start()
    assert net.run_until(lambda: net.meshed) < 2_000


def test_peer_that_was_seen_is_dialled_there_and_keeps_what_was_known():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/a",))))
    fail(lone, dial)
    (again,) = dials(lone.submit(Found("zz", ("/b", "/c", "/d"))))
    assert again.addresses == ("/a", "/b", "/c")


def test_signed_addresses_go_before_those_known():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/a",))))
    fail(lone, dial)
    (again,) = dials(lone.submit(Found("zz", ("/b",), signed=True)))
    assert again.addresses == ("/b", "/a")


def test_news_of_a_peer_lead_to_a_dial_now_and_then_only():
    lone = LoneCore()
    (dial,) = dials(lone.submit(Connect("zz", ("/a",))))
    fail(lone, dial)
    (dial,) = dials(lone.submit(Found("zz", ("/b",))))
    fail(lone, dial)
    assert not dials(lone.submit(Found("zz", ("/c",))))
    assert not dials(lone.submit(Found("zz", ("/c",))))


def test_few_strangers_are_looked_for_and_never_oneself():
    lone = LoneCore()
    found = []
    for number in range(STRANGERS_MAX + 3):
        found += dials(lone.submit(Found(f"z{number}", ("/a",))))
    assert len(found) == STRANGERS_MAX
    assert not dials(lone.submit(Found(lone.settings.transport, ("/a",))))
    assert not dials(lone.submit(Found("z0", ())))


def test_addresses_of_the_last_run_are_not_taken_up_of_who_is_barred():
    lone = LoneCore()
    membership = lone.node._membership
    membership.bar(bytes(32), "out")
    stored = msgspec.msgpack.encode({"out": ["/a"], "in": ["/b"]})
    membership.start(lone.now_ms, stored)
    assert {dial.peer for dial in dials(lone.tick(30_000))} & {"out", "in"} == {"in"}


@pytest.mark.parametrize("is_out", [False, True])
def test_who_is_out_before_its_profile_comes_is_not_dialled(is_out: bool):
    lone = LoneCore()
    person = make_person(7)
    if is_out:
        lone.node._membership.bar(person.author, "")
    record = Author(person.author, person.keys, "guest", ("/a",), founder=False)
    lone.node._membership.learn_member(lone.now_ms, record)
    dialled = {dial.peer for dial in dials(lone.tick(30_000))}
    assert (compute_transport_id(person.keys.libp2p_key) in dialled) is not is_out
