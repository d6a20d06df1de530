"""Drafts stand on drafts; withdrawn ones leave no trace."""

from __future__ import annotations

from dag.intake import Intake
from dag.types import Kind
from meshnode.core.chain import Chain, Publication
from meshnode.core.commands import Publish
from meshnode.core.effects import RunJob
from meshnode.core.events import Published
from meshnode.core.inputs import Signed
from meshnode.core.outbox import Outbox
from tests.support.dag_builder import START_MS, DagBuilder
from tests.support.horizons import level
from tests.support.lone_core import LoneCore


def make(horizon=0):
    builder = DagBuilder(authors=2).profiles()
    intake = Intake(builder.genesis)
    for signed in builder.vertices:
        intake.offer(START_MS, "", signed)
    outbox = Outbox()
    sealed = []
    chain = Chain(
        builder.network,
        builder.people[0].author,
        intake,
        outbox,
        get_horizon=lambda: horizon,
        on_sealed=lambda _now_ms, publication, signed: sealed.append((publication.token, signed)),
    )
    return builder, chain, outbox, sealed


def test_drafts_are_sealed_in_order_of_their_seq():
    builder, chain, outbox, sealed = make()
    for token in range(3):
        chain.build(START_MS, Publication(token, Kind.NOTE, b"x"))
    jobs = [effect.job for effect in outbox.take() if isinstance(effect, RunJob)]
    for job in reversed(jobs):
        assert sealed == [] or job == jobs[0]
        outbox.complete(START_MS, job, Signed(b"s" * 64))
    assert [token for token, _ in sealed] == [0, 1, 2]
    refs = [signed.ref for _, signed in sealed]
    assert sealed[0][1].vertex.parents == (builder.vertices[0].ref, builder.vertices[1].ref)
    assert [signed.vertex.parents[0] for _, signed in sealed[1:]] == refs[:-1]
    assert len(chain) == 0


def test_withdrawn_drafts_are_not_sealed_when_their_signatures_come():
    _, chain, outbox, sealed = make()
    chain.build(START_MS, Publication(1, Kind.NOTE, b"x"))
    (job,) = [effect.job for effect in outbox.take() if isinstance(effect, RunJob)]
    assert [publication.token for publication in chain.withdraw()] == [1]
    outbox.complete(START_MS, job, Signed(b"s" * 64))
    assert sealed == []


def test_nothing_is_drafted_that_comes_too_late_for_the_order():
    _, chain, outbox, _ = make(horizon=3)
    assert not chain.build(START_MS, Publication(1, Kind.NOTE, b"x"))
    assert len(chain) == 0
    assert not outbox.take()


def test_where_the_forked_have_raised_the_horizon_their_words_are_stood_on():
    builder = DagBuilder(authors=2).profiles()
    intake = Intake(builder.genesis)
    last = [builder.vertex(1) for _ in range(5)][-1]
    twin = builder.twin(last)
    for signed in (*builder.vertices, twin):
        intake.offer(START_MS, "", signed)
    assert intake.forks
    horizon = 0
    chain = Chain(
        builder.network,
        builder.people[0].author,
        intake,
        Outbox(),
        get_horizon=lambda: horizon,
        on_sealed=lambda *_: None,
    )
    assert chain.build(START_MS, Publication(1, Kind.NOTE, b"x"))
    (draft,) = chain._drafts
    assert draft.vertex.parents == (builder.vertices[0].ref,)
    chain.withdraw()
    horizon = last.vertex.lamport
    assert chain.build(START_MS, Publication(1, Kind.NOTE, b"x"))
    (draft,) = chain._drafts
    assert {last.ref, twin.ref} & set(draft.vertex.parents)
    chain.withdraw()
    horizon += 1
    assert not chain.build(START_MS, Publication(1, Kind.NOTE, b"x"))


def test_what_the_horizon_passes_while_it_is_signed_is_drafted_anew():
    builder = DagBuilder(authors=2).profiles()
    notes = [builder.vertex(1, body=b"%d" % n) for n in range(9)]
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    for number in range(2):
        lone.handle(lone.command(Publish(3, b"slow %d" % number), number), finish=False)
    lone.node._store.advance_horizon(lone.now_ms, level(notes[4].vertex.lamport))
    lone.finish_jobs()
    assert lone.node.view().publications_queued == 2  # nothing is held that would lift them
    lone.receive(peer, lone.vertices(builder.vertices[1], *notes))
    own = [each for each in lone.journal.values() if each.vertex.author == lone.person.author]
    first, second = sorted(own, key=lambda signed: signed.vertex.seq)[-2:]
    assert (first.vertex.body, second.vertex.body) == (b"slow 0", b"slow 1")
    assert (first.vertex.seq, second.vertex.seq) == (1, 2)
    assert notes[-1].ref in first.vertex.parents
    assert [event.token for event in lone.events if isinstance(event, Published)] == [0, 1]
