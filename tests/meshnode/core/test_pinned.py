"""What is pinned follows from the order alone."""

from __future__ import annotations

import pytest

from dag.authors import AuthorRegistry
from dag.canonical import encode
from dag.errors import MalformedMessage
from dag.evidence import make_evidence
from dag.types import Kind
from meshnode.core.pinned import PinnedVertices, decode_pinned, list_pinned
from tests.support.dag_builder import DagBuilder


@pytest.fixture
def builder():
    return DagBuilder(3).profiles().layer()


def accuse(builder, by, first, second):
    body = encode(make_evidence(first, second))
    return builder.vertex(by, kind=Kind.EVIDENCE, body=body)


def test_first_profiles_and_last_words_are_pinned(builder):
    pinned = PinnedVertices(AuthorRegistry(builder.genesis))
    pinned.apply(builder.vertices)
    state = pinned.freeze()
    profiles = sorted(signed.ref for signed in builder.vertices[:3])
    assert list(state.profiles) == profiles
    assert {word.author: word.ref for word in state.last} == {
        signed.vertex.author: signed.ref for signed in builder.vertices[3:]
    }
    assert list_pinned(state, 1) == tuple(profiles)
    assert list_pinned(state, 2) == tuple(sorted(signed.ref for signed in builder.vertices))


def test_evidence_that_holds_is_pinned_once(builder):
    twin = builder.twin(builder.last(0))
    true = accuse(builder, 1, builder.last(0), twin)
    again = accuse(builder, 2, builder.last(0), twin)
    false = accuse(builder, 2, builder.last(1), builder.last(2))
    nonsense = builder.vertex(2, kind=Kind.EVIDENCE, body=b"nonsense")
    pinned = PinnedVertices(AuthorRegistry(builder.genesis))
    pinned.apply([nonsense, false, true, again])
    assert [(proof.accused, proof.ref) for proof in pinned.freeze().evidence] == [
        (builder.people[0].author, true.ref)
    ]


def test_evidence_counts_once_the_order_knows_the_accused(builder):
    guest = builder.join(0)
    first = builder.last(guest)
    builder.vertex(guest)
    note = builder.last(guest)
    early = accuse(builder, 1, note, builder.twin(note))
    late = accuse(builder, 2, note, builder.twin(note))
    unknown = PinnedVertices(AuthorRegistry(builder.genesis))
    unknown.apply([early])
    assert unknown.freeze().evidence == ()
    registry = AuthorRegistry(builder.genesis)
    for signed in (*builder.vertices[:3], first):
        registry.admit_profile(signed.ref, signed.vertex, registry.check_profile(signed.vertex))
    pinned = PinnedVertices(registry)
    pinned.apply([early, first, late])
    assert [proof.ref for proof in pinned.freeze().evidence] == [late.ref]


def test_what_is_pinned_can_be_put_away_and_taken_up(builder):
    registry = AuthorRegistry(builder.genesis)
    pinned = PinnedVertices(registry)
    pinned.apply(builder.vertices)
    again = PinnedVertices(registry, decode_pinned(pinned.snapshot()))
    assert again.snapshot() == pinned.snapshot()
    builder.layer()
    for one in (pinned, again):
        one.apply(builder.vertices[6:])
    assert again.snapshot() == pinned.snapshot()
    with pytest.raises(MalformedMessage):
        decode_pinned(b"nonsense")
