"""What was acknowledged and got no place in the order in time is said again, once."""

from __future__ import annotations

from msgspec.structs import replace

from dag.authors import AuthorRegistry
from dag.types import Kind
from meshnode.core.chain import Publication
from meshnode.core.effects import Emit
from meshnode.core.events import Committed, Published, Repeated
from meshnode.core.outbox import Outbox
from meshnode.core.repeating import Repeating
from tests.support.core_net import CoreNet, Host
from tests.support.dag_builder import DagBuilder

CUT_MS = 40_000


def make_net(gc_commits: int = 5) -> CoreNet:
    genesis = CoreNet(4).genesis
    genesis = replace(genesis, parameters=replace(genesis.parameters, gc_commits=gc_commits))
    net = CoreNet(4, validates=True, genesis=genesis)
    net.start()
    net.run(3_000)
    return net


def said(host: Host) -> list[bytes]:
    """The bodies of the notes that the order has put out, as this host heard it."""
    told = [ref.id for event in host.find(Committed) for ref in event.commit.vertices]
    return [
        host.journal[item].vertex.body
        for item in told
        if host.journal[item].vertex.kind == Kind.NOTE
    ]


def go_on_without(net: CoreNet, host: Host) -> None:
    others = [other for other in net.hosts if other is not host]
    net.cut([host], others)
    host.publish(b"one")
    net.run(50)
    host.publish(b"two")
    for number in range(12):
        others[number % 3].publish(b"other %d" % number)
        net.run(500)


def test_who_was_cut_off_for_long_says_again_what_it_had_been_told_was_published():
    net = make_net()
    host = net.hosts[3]
    go_on_without(net, host)
    assert len(host.find(Published)) == 2
    net.heal()
    net.run(CUT_MS)
    for other in net.hosts:
        bodies = said(other)
        assert bodies.count(b"one") == bodies.count(b"two") == 1
        assert bodies.index(b"one") < bodies.index(b"two")
        assert other.core.summarise().unordered == 0
    first = [event.signed.id for event in host.find(Published)]
    assert [event.first for event in host.find(Repeated)] == first
    assert net.converged


def test_what_is_said_again_while_its_author_catches_up_is_put_in_order_once():
    net = make_net()
    host, others = net.hosts[3], net.hosts[:3]
    net.cut([host], others)
    host.publish(b"one")
    for number in range(60):
        others[number % 3].publish(b"other %d" % number)
        net.run(200)
    net.heal()
    for number in range(60):
        others[number % 3].publish(b"more %d" % number)
        net.run(200)
    net.run(CUT_MS)
    assert [said(other).count(b"one") for other in net.hosts] == [1, 1, 1, 1]
    assert host.find(Repeated)


def test_a_crash_before_it_was_said_again_loses_nothing_and_says_nothing_twice():
    for effects in (0, 2, 5, 9, 14, 20):
        net = make_net()
        host = net.hosts[3]
        go_on_without(net, host)
        net.heal()
        net.run(900)
        host.crash_after = host.persists + effects
        net.run(5_000)
        if host.node is None:
            host.start()
        net.run(CUT_MS)
        bodies = said(net.hosts[0])
        assert bodies.count(b"one") == bodies.count(b"two") == 1, effects
        host.crash()
        host.start()
        net.run(CUT_MS)
        assert said(net.hosts[0]) == bodies
        assert net.converged


def test_a_first_profile_that_came_too_late_is_said_again_by_a_later_one():
    builder = DagBuilder(1).profiles()
    profile = builder.vertices[0]
    spoken: list[Publication] = []
    outbox = Outbox()
    repeating = Repeating(
        outbox,
        AuthorRegistry(builder.genesis),
        lambda _now_ms, publication: spoken.append(publication),
    )
    repeating.note_lost([profile])
    repeating.repeat(1)
    assert [(item.kind, item.knowledge) for item in spoken] == [(Kind.PROFILE, (profile.ref,))]
    again = builder.vertex(0, kind=Kind.PROFILE, body=profile.vertex.body)
    repeating.note_own(again)
    assert outbox.take() == [Emit(Repeated(profile.id, again))]


def test_what_is_lost_is_said_again_once():
    builder = DagBuilder(2).profiles().layer()
    note = builder.vertices[2]
    spoken: list[Publication] = []
    outbox = Outbox()
    repeating = Repeating(
        outbox,
        AuthorRegistry(builder.genesis),
        lambda _now_ms, publication: spoken.append(publication),
    )
    repeating.note_lost([note])
    repeating.repeat(2)
    repeating.repeat(3)
    assert [(item.kind, item.body, item.knowledge) for item in spoken] == [
        (Kind.NOTE, note.vertex.body, (note.ref,))
    ]
    another = builder.vertices[3]
    repeating.note_lost([another])
    repeating.repeat(3)
    assert [item.knowledge for item in spoken] == [(note.ref,), (another.ref,)]
    del spoken[1]
    other = builder.vertex(0, body=b"something else", parents=[note.ref])
    repeating.note_own(other)
    assert not outbox.take()
    again = builder.vertex(0, body=note.vertex.body, parents=[note.ref])
    repeating.note_own(again)
    assert outbox.take() == [Emit(Repeated(note.id, again))]
    repeating.repeat(4)
    assert len(spoken) == 1


def test_what_was_said_again_is_remembered_and_bounded(monkeypatch):
    monkeypatch.setattr("meshnode.core.repeating.REPEATS_MAX", 2)
    builder = DagBuilder(1).profiles()
    repeating = Repeating(Outbox(), AuthorRegistry(builder.genesis), lambda *_: None)
    pairs = []
    for number in range(3):
        first = builder.vertex(0, body=b"%d" % number)
        again = builder.vertex(0, body=b"%d" % number, parents=[first.ref])
        repeating.note_lost([first])
        repeating.note_own(again)
        pairs.append((first.id, again.id))
    assert list(repeating.repeats.items()) == pairs[1:]
