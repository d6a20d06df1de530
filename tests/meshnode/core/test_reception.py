"""Every message of a ready peer reaches the part it is for; who breaks a rule is not heard out."""

from __future__ import annotations

import pytest

from dag.errors import Offence
from meshnode.core.effects import SendStored
from meshnode.core.inputs import Standing
from meshnode.core.messages import Advert, Get, GetLast, GetProfiles, IHave
from meshnode.core.verify_budget import BURST, GAP_MS
from tests.support.dag_builder import DagBuilder
from tests.support.lone_core import LoneCore


@pytest.mark.parametrize("question", [Get(1, (bytes(32),)), GetProfiles(1, (bytes(32),))])
def test_questions_are_answered(question):
    lone = LoneCore()
    peer = lone.greet()
    effects = lone.receive(peer, question)
    assert [effect.missing for effect in effects if isinstance(effect, SendStored)] == [
        (bytes(32),)
    ]


def test_last_vertices_are_named():
    lone = LoneCore()
    peer = lone.greet()
    effects = lone.receive(peer, GetLast(1, lone.person.author))
    assert [effect.ids for effect in effects if isinstance(effect, SendStored)] == [()]


def test_adverts_are_kept():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, Advert(1, (), 3, 0, 0, draining=False))
    advert = lone.node.view().peers[0].advert
    assert advert is not None
    assert advert.slots == 3


def test_announced_vertices_are_fetched():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, IHave((bytes(32),)))
    assert lone.sent(lone.tick(400), Get)


def test_vertices_of_a_known_author_are_admitted():
    lone = LoneCore()
    peer = lone.greet()
    profile = DagBuilder(2).profiles().last(1)
    lone.receive(peer, lone.vertices(profile))
    assert lone.node.is_stored(profile.id)


def test_what_comes_after_an_offence_in_the_same_message_is_not_taken():
    lone = LoneCore()
    peer = lone.greet()
    builder = DagBuilder(2).profiles([1])
    profile = builder.last(1)
    bad = builder.vertex(1, kind=0, body=b"no profile")
    later = builder.vertex(1)
    lone.receive(peer, lone.vertices(profile, bad, later))
    assert lone.node.is_stored(profile.id)
    assert not lone.node.is_stored(later.id)


def test_answers_that_nobody_asked_for_are_an_offence():
    lone = LoneCore()
    peer = lone.greet()
    profile = DagBuilder(2).profiles().last(1)
    lone.receive(peer, lone.vertices(profile, request=77))
    assert not lone.node.is_stored(profile.id)
    assert lone.node.view().offences == {Offence.UNASKED.value: 1}


def test_peer_that_pushes_what_is_of_no_use_is_not_read_for_a_moment():
    lone = LoneCore()
    peer = lone.greet()
    builder = DagBuilder(2).profiles([1])
    missing = builder.vertex(1)
    orphan = builder.vertex(1)
    lone.receive(peer, lone.vertices(builder.vertices[1], orphan))
    for _ in range(BURST):
        assert not lone.node.is_spent(peer)
        lone.receive(peer, lone.vertices(orphan))
    assert lone.node.is_spent(peer)
    lone.receive(peer, lone.vertices(missing, standing=Standing.UNREAD))
    assert lone.node.is_spent(peer)
    assert not lone.node.is_stored(missing.id)
    lone.now_ms += GAP_MS
    lone.receive(peer, lone.vertices(missing, standing=Standing.UNREAD))
    assert not lone.node.is_spent(peer)


def test_what_is_of_use_and_what_was_asked_for_costs_a_peer_nothing():
    lone = LoneCore()
    peer = lone.greet()
    builder = DagBuilder(2).profiles([1])
    notes = [builder.vertex(1) for _ in range(BURST + 1)]
    lone.receive(peer, lone.vertices(*builder.vertices))
    assert lone.node.is_stored(notes[-1].id)
    lone.receive(peer, IHave((bytes(32),)))
    (question,) = lone.sent(lone.tick(400), Get)
    lone.receive(peer, lone.vertices(*notes, request=question.request, last=False))
    assert not lone.node.is_spent(peer)
    lone.receive(peer, lone.vertices(*notes))
    assert lone.node.is_spent(peer)
    lone.disconnect(peer)
    assert not lone.node.is_spent(peer)
