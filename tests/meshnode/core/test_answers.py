"""Questions are answered from the store, within reason."""

from __future__ import annotations

from dag.ranges import cut_ref
from meshnode.core.answers import PIECES_MAX
from meshnode.core.effects import SendSnapshot, SendStored
from meshnode.core.messages import Get, GetLast, GetProfiles, GetSnapshot
from tests.support.dag_builder import DagBuilder
from tests.support.lone_core import LoneCore


def make():
    builder = DagBuilder(authors=2).profiles().layer(authors=[1]).layer(authors=[1])
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.receive(peer, lone.vertices(*builder.vertices[1:]))
    return builder, lone, peer


def answers(effects):
    return [effect for effect in effects if isinstance(effect, SendStored)]


def test_get_is_answered_parents_first_with_what_is_missing():
    builder, lone, peer = make()
    ids = tuple(signed.id for signed in reversed(builder.vertices))
    effects = lone.receive(peer, Get(7, (*ids, bytes(32))))
    assert answers(effects) == [SendStored(peer, 7, ids[::-1], (bytes(32),))]


def test_get_is_answered_for_cut_references():
    builder, lone, peer = make()
    names = tuple(cut_ref(signed.ref) for signed in reversed(builder.vertices))
    effects = lone.receive(peer, Get(7, (*names, bytes(24))))
    ids = tuple(signed.id for signed in builder.vertices)
    assert answers(effects) == [SendStored(peer, 7, ids, (bytes(24),))]


def test_get_profiles_names_authors_without_one():
    builder, lone, peer = make()
    known = builder.people[1].author
    effects = lone.receive(peer, GetProfiles(8, (known, bytes(32))))
    assert answers(effects) == [SendStored(peer, 8, (builder.vertices[1].id,), (bytes(32),))]


def test_get_last_gives_the_end_of_the_chain_or_nothing():
    builder, lone, peer = make()
    effects = lone.receive(peer, GetLast(9, builder.people[1].author))
    effects += lone.receive(peer, GetLast(10, bytes(32)))
    assert answers(effects) == [
        SendStored(peer, 9, (builder.vertices[-1].id,)),
        SendStored(peer, 10, ()),
    ]


def test_questions_without_end_are_a_flood():
    _, lone, peer = make()
    for number in range(1_000):
        lone.receive(peer, GetLast(number, bytes(32)))
    assert lone.node.view().offences == {}
    assert not answers(lone.receive(peer, GetLast(1, bytes(32))))
    assert lone.node.view().offences == {"flood": 1}
    lone.now_ms += 1_000
    assert answers(lone.receive(peer, GetLast(1, bytes(32))))


def test_pieces_of_snapshots_without_end_are_a_flood():
    _, lone, peer = make()
    for number in range(PIECES_MAX):
        (effect,) = lone.receive(peer, GetSnapshot(number, 1, 0, 0))
        assert isinstance(effect, SendSnapshot)
    assert lone.node.view().offences == {}
    effects = lone.receive(peer, GetSnapshot(99, 1, 0, 0))
    assert not [effect for effect in effects if isinstance(effect, SendSnapshot)]
    assert lone.node.view().offences == {"flood": 1}
    assert answers(lone.receive(peer, GetLast(1, bytes(32))))
    lone.now_ms += 1_000
    assert lone.receive(peer, GetSnapshot(100, 1, 0, 0))
