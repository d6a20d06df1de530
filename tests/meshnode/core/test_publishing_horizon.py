"""A node whose horizon rises: it finds its own past below it, and says nothing there."""

from __future__ import annotations

from dag.types import Kind
from meshnode.core.commands import Publish
from meshnode.core.events import Published
from tests.support.dag_builder import DagBuilder
from tests.support.horizons import level
from tests.support.lone_core import LoneCore


def own_chain(lone):
    own = [s for s in lone.journal.values() if s.vertex.author == lone.person.author]
    return sorted(own, key=lambda signed: signed.vertex.seq)


def test_own_past_below_the_horizon_is_taken_from_whoever_names_it():
    builder = DagBuilder(authors=2).profiles()
    old = [builder.vertex(0, body=b"old %d" % n, parents=()) for n in range(3)]
    lone = LoneCore(genesis=builder.genesis)
    lone.publish(b"new")
    peer = lone.greet()
    lone.receive(peer, lone.vertices(*builder.vertices[:2], old[0]))
    lone.node._store.advance_horizon(lone.now_ms, level(old[-1].vertex.lamport))
    lone.receive(peer, lone.vertices(old[-1], request=1, last=False))
    lone.receive(peer, lone.vertices(old[1], request=1))
    assert lone.node.view().speech == "open"
    assert [signed.vertex.seq for signed in own_chain(lone)] == [0, 1, 3, 4]
    assert own_chain(lone)[-1].vertex.parents[0] == old[-1].ref


def test_own_past_that_breaks_a_rule_is_waited_for_by_nobody():
    builder = DagBuilder(authors=2).profiles()
    lie = builder.vertex(0, kind=Kind.PROFILE, body=b"no profile", parents=())
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(*builder.vertices[:2]))
    lone.node._store.advance_horizon(lone.now_ms, level(lie.vertex.lamport))
    lone.receive(peer, lone.vertices(lie, request=1))
    assert lone.node.view().speech == "open"
    assert not lone.node.is_stored(lie.id)


def test_what_the_horizon_overtook_while_it_was_signed_is_built_anew():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(builder.vertices[1], request=1))
    for token, body in enumerate((b"one", b"two")):
        lone.handle(lone.command(Publish(3, body), token), finish=False)
    other = [builder.vertex(1, parents=()) for _ in range(9)][-1]
    lone.node._store.advance_horizon(lone.now_ms, level(other.vertex.lamport - 1))
    lone.finish_jobs()
    assert len(own_chain(lone)) == 1
    assert lone.node.view().publications_queued == 2
    lone.receive(peer, lone.vertices(other))
    assert [signed.vertex.body for signed in own_chain(lone)[1:]] == [b"one", b"two"]
    assert own_chain(lone)[1].vertex.parents[1] == other.ref
    assert [event.token for event in lone.events if isinstance(event, Published)] == [0, 1]
