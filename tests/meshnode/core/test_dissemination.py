"""Vertices reach everybody about once."""

from __future__ import annotations

from dag.types import Kind
from meshnode.core.dissemination import KNOWN_MAX, KNOWN_MS, Dissemination
from meshnode.core.messages import Get, IHave
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.lone_core import LoneCore


def test_announcements_go_to_peers_not_known_to_have_the_vertex():
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    two = lone.greet(make_person(2))
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:]))
    lone.receive(two, IHave((builder.vertices[1].id,)))
    effects = lone.tick(200)
    assert lone.sent(effects, IHave) == [IHave((builder.vertices[2].id,))]
    assert not lone.sent(lone.tick(200), IHave)


def test_announcements_beyond_one_message_are_left_to_reconciliation():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    notes = [builder.vertex(1, body=b"%d" % n, parents=()) for n in range(600)]
    lone.receive(one, lone.vertices(builder.vertices[1], *notes))
    lone.disconnect(one)
    lone.greet(transport="again")
    (message,) = lone.sent(lone.tick(200), IHave)
    assert len(message.ids) == 512


def test_memory_of_who_has_what_is_bounded():
    lone = LoneCore()
    dissemination = lone.node._dissemination
    assert isinstance(dissemination, Dissemination)
    peer = lone.greet()
    for number in range(0, KNOWN_MAX + 512, 512):
        lone.now_ms += 1_000
        ids = tuple((number + n).to_bytes(32, "big") for n in range(512))
        dissemination.on_ihave(lone.now_ms, peer, IHave(ids))
    assert len(dissemination._traces) == KNOWN_MAX


def test_who_has_what_is_forgotten_after_two_minutes():
    lone = LoneCore()
    peer = lone.greet()
    dissemination = lone.node._dissemination
    lone.receive(peer, IHave((b"a" * 32, b"b" * 32)))
    lone.now_ms += KNOWN_MS
    lone.receive(peer, IHave((b"c" * 32,)))
    assert list(dissemination._traces) == [b"c" * 32]


def test_each_vertex_crosses_each_link_about_once():
    net = CoreNet(6)
    net.start()
    net.run(3_000)
    before = {host.name: dict(host.sent) for host in net.hosts}
    for number in range(60):
        net.hosts[number % 6].publish(b"%d" % number, kind=Kind.NOTE)
        net.run(30)
    net.run(3_000)
    assert net.converged
    pushes = sum(h.sent.get("Push", 0) - before[h.name].get("Push", 0) for h in net.hosts)
    items = sum(h.sent.get("Items", 0) - before[h.name].get("Items", 0) for h in net.hosts)
    assert pushes == 60 * 5
    assert items == 0


def test_parents_of_a_pushed_vertex_are_given_time_to_come_by_themselves():
    builder = DagBuilder(authors=3).profiles()
    parent = builder.vertex(1)
    child = builder.vertex(2)
    assert parent.ref in child.vertex.parents
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    assert not lone.sent(lone.receive(one, lone.vertices(child)), Get)
    assert not lone.sent(lone.tick(399), Get)
    (question,) = lone.sent(lone.tick(1), Get)
    assert question.ids == (parent.id,)


def test_parents_of_a_fetched_vertex_are_fetched_at_once():
    builder = DagBuilder(authors=3).profiles()
    parent = builder.vertex(1)
    child = builder.vertex(2)
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    lone.receive(one, IHave((child.id,)))
    (question,) = lone.sent(lone.tick(400), Get)
    assert question.ids == (child.id,)
    effects = lone.receive(one, lone.vertices(child, request=question.request))
    (question,) = lone.sent(effects, Get)
    assert question.ids == (parent.id,)
