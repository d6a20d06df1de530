"""Stores that differ become equal, whatever the reason and whoever is ahead."""

from __future__ import annotations

from dag.types import Ref
from meshnode.core import reconciliation
from meshnode.core.effects import Send, SendStored
from meshnode.core.messages import Digest, Get, Heads, IHave, Ping, Pong, Push
from meshnode.core.reconciliation import BACK_OFF_MS, PATIENCE_MS
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level
from tests.support.lone_core import LoneCore


def count(net: CoreNet) -> int:
    return net.up[0].core.view().vertices


def publish_rounds(net: CoreNet, hosts, rounds: int) -> None:
    for number in range(rounds):
        for host in hosts:
            host.publish(b"%d" % number)
        net.run(20)


def test_late_joiner_gets_everything_from_one_peer_once():
    net = CoreNet(4)
    early, late = net.hosts[:3], net.hosts[3]
    net.start(early)
    net.run(1_000)
    for number in range(1_000):
        for host in early:
            host.publish(b"%d" % number)
        net.run(2)
    net.run(2_000)
    assert net.converged
    assert count(net) == 3_003
    before = sum(host.sent.get("Push", 0) for host in early)
    late.start()
    took_ms = net.run_until(lambda: net.converged and late.core.view().vertices >= 3_003)
    assert took_ms < 3_000
    net.run(3_000)
    assert net.converged
    assert net.meshed
    sent = [host.sent_bytes for host in early]
    pushes = sum(host.sent.get("Push", 0) for host in early) - before
    vertices_bytes = sum(len(signed.wire) for signed in late.journal.values())
    assert pushes < 1.3 * vertices_bytes / 48_000 + 20, sent


def test_partition_with_news_on_both_sides_heals():
    net = CoreNet(4)
    net.start()
    net.run(1_000)
    publish_rounds(net, net.hosts, 5)
    left, right = net.hosts[:2], net.hosts[2:]
    net.cut(left, right)
    publish_rounds(net, left, 40)
    publish_rounds(net, right, 60)
    assert not net.converged
    net.heal()
    net.run_until(lambda: net.meshed, 20_000)
    net.run_until(lambda: net.converged, 5_000)
    assert count(net) == 4 + 20 + 80 + 120
    gets = sum(host.sent.get(Get.__name__, 0) for host in net.hosts)
    assert gets < 20


def test_deep_chains_without_common_vertex_are_walked():
    net = CoreNet(2)
    one, other = net.hosts
    net.cut([one], [other])
    net.start()
    net.run(6_000)
    publish_rounds(net, [one], 300)
    publish_rounds(net, [other], 400)
    net.heal()
    net.run_until(lambda: net.meshed, 20_000)
    net.run_until(lambda: net.converged, 20_000)
    assert count(net) == 702


def test_lost_pushes_are_recovered_by_announcement():
    lost: list[Push] = []

    def drop(_source, target, message):
        losing = isinstance(message, Push) and target == net.hosts[3].name
        if losing and len(lost) < 5:
            lost.append(message)
            return True
        return False

    net = CoreNet(4)
    net.start()
    net.run(3_000)
    net.drop = drop
    for number in range(5):
        net.hosts[0].publish(b"%d" % number)
    took_ms = net.run_until(lambda: net.hosts[3].core.view().vertices == 9)
    assert len(lost) == 5
    assert 400 <= took_ms < 1_000
    net.run(3_000)
    assert net.converged
    assert not any(host.core.view().offences for host in net.hosts)


def test_lost_pushes_are_recovered_by_digest_without_announcements():
    def drop(_source, target, message):
        return type(message).__name__ in {"Push", "IHave"} and target == net.hosts[1].name

    net = CoreNet(2)
    net.start()
    net.run(3_000)
    net.drop = drop
    net.hosts[0].publish()
    net.run(100)
    net.drop = None
    net.run_until(lambda: net.converged, 10_000)


def test_steady_news_lead_to_no_exchange_of_heads():
    net = CoreNet(4, latency_ms=30)
    net.start()
    net.run(2_000)
    before = sum(host.sent.get("Heads", 0) for host in net.hosts)
    sent = sum(host.sent_bytes for host in net.hosts)
    held = sum(len(signed.wire) for signed in net.hosts[0].journal.values())
    for number in range(200):
        for host in net.hosts:
            host.publish(bytes(1_000) + b"%d" % number)
        net.run(50)
    net.run(2_000)
    assert net.converged
    assert sum(host.sent.get("Heads", 0) for host in net.hosts) - before <= 24
    unique = sum(len(signed.wire) for signed in net.hosts[0].journal.values()) - held
    total = sum(host.sent_bytes for host in net.hosts) - sent
    assert total < 1.1 * 3 * unique


def test_who_is_behind_does_not_ask_while_vertices_keep_arriving():
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    view = lone.node.view()
    lone.receive(one, Digest(view.heads_digest, view.vertices, view.lamport))
    ahead = Digest(bytes(32), 1_000, 1_000)
    lone.receive(one, ahead)
    for waited_ms in range(500, PATIENCE_MS, 500):
        lone.receive(one, lone.vertices(builder.vertex(1)))
        assert not lone.sent(lone.tick(500), Heads), waited_ms
    assert lone.sent(lone.tick(500), Heads)


def test_an_exchange_ends_although_its_peer_goes_on_saying_what_everybody_says():
    """Whoever always has news would otherwise be the only one that is ever compared with."""
    builder = DagBuilder(authors=4).profiles()
    lone = LoneCore(genesis=builder.genesis)
    lone.admit(*builder.vertices[1:])
    one, other = lone.greet(builder.people[1]), lone.greet(builder.people[2])
    for peer in (one, other):
        lone.receive(peer, Digest(b"\xff" * 32, lone.node.view().vertices + 2, 9))
    asked: list[str] = []
    for _ in range(20):
        effects = [
            *lone.receive(one, lone.vertices(builder.vertex(1, parents=()))),
            *lone.tick(500),
        ]
        sends = [effect for effect in effects if isinstance(effect, Send)]
        asked += [to for each in sends if isinstance(each.message, Heads) for to in each.to]
    assert {one, other} <= set(asked)


def test_of_two_equally_large_stores_the_one_with_the_lower_heads_asks_at_once():
    for theirs, asks in ((b"\xff" * 32, True), (bytes(32), False)):
        lone = LoneCore()
        peer = lone.greet()
        view = lone.node.view()
        effects = lone.receive(peer, Digest(theirs, view.vertices, view.lamport))
        assert bool(lone.sent(effects, Heads)) == asks
        assert bool(lone.sent(lone.tick(PATIENCE_MS), Heads))


def test_peer_that_lags_is_not_sent_what_is_on_its_way_to_it():
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    known = builder.vertices[1:3]
    refs = tuple(sorted(signed.ref for signed in known))
    held = lone.node.view().vertices

    def ask():
        digest = Digest(bytes(32), held, 1)
        (*_, stored) = [
            (),
            *(
                effect.ids
                for effect in lone.receive(one, Heads(refs, digest, reply=False))
                if isinstance(effect, SendStored)
            ),
        ]
        return stored

    ask()
    vertices = []
    for _ in range(12):
        vertices.append(builder.vertex(1, parents=()))
        lone.receive(one, lone.vertices(vertices[-1]))
        lone.tick(500)
    sent = ask()
    assert vertices[0].id in sent
    assert vertices[-1].id not in sent
    assert len(sent) < len(vertices) // 2
    lone.tick(2_000)
    assert vertices[-1].id in ask()


def test_a_peer_that_is_being_sent_much_is_sent_what_follows_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(reconciliation, "TRANSFER_IDS_MAX", 20)
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    one = lone.greet()
    lone.receive(one, lone.vertices(request=1))
    lone.receive(one, lone.vertices(*builder.vertices[1:3]))
    known = tuple(sorted(signed.ref for signed in builder.vertices[1:3]))
    before = lone.node.view().vertices
    for _ in range(60):
        lone.receive(one, lone.vertices(builder.vertex(1, parents=())))

    def ask(held: int) -> list[bytes]:
        for _ in range(10):
            effects = lone.tick(500)
            for ping in lone.sent(effects, Ping):
                lone.receive(one, Pong(ping.nonce, Digest(bytes(32), held, 1), lone.now_ms))
        effects = lone.receive(one, Heads(known, Digest(bytes(32), held, 1), reply=False))
        return [item for effect in effects if isinstance(effect, SendStored) for item in effect.ids]

    first = ask(before)
    assert len(first) == 20
    second = ask(before + 5)
    low = builder.vertex(2, parents=())
    lone.receive(one, lone.vertices(low))
    third, fourth = ask(before + 18), ask(before + 25)
    sent = [*first, *second, *third, *fourth]
    assert len(sent) == len(set(sent)) == 61 + 1  # with the own profile
    assert low.id in sent[40:]
    assert ask(before + 26) == []
    # It came no further: what was sent must be lost.
    assert first[0] in ask(before + 26)


def test_a_digest_follows_the_horizon_without_a_new_vertex():
    lone = LoneCore()
    lone.tick(20_000)
    before = lone.node.compute_digest()
    assert before.count > 0
    lone.node._store.advance_horizon(lone.now_ms, level(before.lamport))
    assert lone.node.compute_digest().count == 0


def name_heads(lone: LoneCore, peer: str, number: int) -> list[bytes]:
    """A peer names a head again and again, until it is fetched; answers what it is asked for."""
    digest = Digest(bytes([number]) * 32, 90, 90)
    heads = Heads((Ref(90, bytes([number]) * 32),), digest, reply=False)
    asked: list[bytes] = []
    for _ in range(4):
        effects = [*lone.receive(peer, heads), *lone.tick(1_100)]
        asked += [name for get in lone.sent(effects, Get) for name in get.ids]
    return asked


def test_who_leaves_questions_about_its_heads_open_is_not_heeded_for_a_minute():
    lone = LoneCore()
    peer = lone.greet()
    asked = [len(name_heads(lone, peer, number)) for number in range(1, 8)]
    assert sum(asked) == 2
    assert not any(asked[-4:])
    lone.tick(BACK_OFF_MS)
    again = lone.greet(transport=peer + "x")
    assert sum(len(name_heads(lone, again, number)) for number in range(8, 12)) == 2


def test_who_sends_something_new_is_heeded_again():
    builder = DagBuilder(authors=3).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    asked = [name_heads(lone, peer, number) for number in range(1, 8)]
    assert not asked[-1]
    lone.receive(peer, lone.vertices(builder.vertices[1]))
    assert name_heads(lone, peer, 9)


def test_peer_whose_last_offence_was_to_serve_nothing_is_gone():
    lone = LoneCore(strikes_max=2)
    peer = lone.greet()
    for number in range(2):
        effects = [*lone.receive(peer, IHave((bytes([number]) * 32,))), *lone.tick(500)]
        (get,) = lone.sent(effects, Get)
        lone.receive(peer, lone.vertices(request=get.request, missing=get.ids))
    assert not lone.node.get_ready_peers()
