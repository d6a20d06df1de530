"""At the door only profiles are looked at, and only those that are news."""

from __future__ import annotations

from msgspec.structs import replace

from dag.canonical import encode
from dag.errors import Offence
from dag.genesis import Parameters
from meshnode.core.effects import Hangup, Penalise
from meshnode.core.inputs import Connected
from meshnode.core.messages import Goodbye
from meshnode.core.newcomer_blocks import BLOCK_MAX
from tests.support.dag_builder import START_MS, DagBuilder, make_genesis, make_person
from tests.support.lone_core import LoneCore


def at_the_door(builder):
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer))
    return lone, peer


def offences(effects):
    return [effect.offence for effect in effects if isinstance(effect, Penalise)]


def test_other_vertices_are_out_of_turn():
    builder = DagBuilder(authors=2).profiles().layer()
    lone, peer = at_the_door(builder)
    effects = lone.receive(peer, lone.vertices(builder.vertices[-1], request=-1))
    assert offences(effects) == [Offence.OUT_OF_TURN]
    assert not lone.node.is_stored(builder.vertices[-1].id)


def test_too_many_are_a_flood():
    builder = DagBuilder(authors=2).profiles()
    lone, peer = at_the_door(builder)
    message = lone.vertices(*[builder.vertices[1]] * 9, request=-1)
    assert offences(lone.receive(peer, message)) == []
    assert offences(lone.receive(peer, message)) == [Offence.FLOOD]


def test_second_first_profile_of_a_known_author_is_passed_over():
    builder = DagBuilder(authors=2).profiles()
    lone, peer = at_the_door(builder)
    twin = builder.twin(builder.vertices[1], body=builder.vertices[1].vertex.body)
    lone.receive(peer, lone.vertices(builder.vertices[1], twin, request=-1))
    assert lone.node.is_stored(builder.vertices[1].id)
    assert not lone.node.is_stored(twin.id)


def test_profile_without_invitation_ends_the_connection():
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(0)
    stranger = DagBuilder(authors=4)
    stranger.network = builder.network
    refused = stranger.vertex(3, kind=0, body=encode(stranger.people[3].profile()))
    lone, peer = at_the_door(builder)
    message = lone.vertices(refused, builder.vertices[guest], request=-1)
    effects = lone.receive(peer, message)
    assert offences(effects) == [Offence.BAD_VERTEX]
    assert any(isinstance(effect, Hangup) for effect in effects)
    assert not lone.node.is_stored(builder.vertices[guest].id)


def test_profiles_that_would_have_to_wait_take_no_room():
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(0)
    orphan = builder.vertices[guest]
    early = builder.vertex(1, kind=0, body=b"", parents=(), time_ms=START_MS + 130_000)
    ahead = builder.sign(1, replace(early.vertex, seq=0, lamport=1, parents=()))
    lone, peer = at_the_door(builder)
    assert offences(lone.receive(peer, lone.vertices(orphan, ahead, request=-1))) == []
    view = lone.node.view()
    assert (view.quarantined, view.held) == (0, 0)
    lone.receive(peer, lone.vertices(*builder.vertices[:2], orphan, request=-1))
    assert lone.node.is_stored(orphan.id)


def test_profile_of_somebody_else_whose_invitation_is_worth_nothing_is_left_out(monkeypatch):
    builder = DagBuilder(authors=2).profiles()
    guest = builder.join(0)
    lone, peer = at_the_door(builder)
    monkeypatch.setattr(lone.node._standings, "explain_newcomer", lambda *_: "it is used up")
    message = lone.vertices(builder.vertices[guest], request=-1)
    lone.receive(peer, lone.vertices(builder.vertices[0], request=-1))
    effects = lone.receive(peer, message)
    assert not any(isinstance(effect, Hangup | Penalise) for effect in effects)
    assert not lone.node.is_stored(builder.vertices[guest].id)


ADDRESS = "/ip4/66.66.1.1/tcp/4001"


def in_an_open_network():
    """A core of an open network, and profiles of many who are not in it."""
    founders = make_genesis([make_person(0), make_person(1)])
    genesis = replace(founders, parameters=Parameters(open=True))
    lone = LoneCore(genesis=genesis)
    builder = DagBuilder(authors=BLOCK_MAX + 6)
    builder.network = lone.network
    return lone, builder.profiles()


def knock(lone, builder, number):
    """Somebody comes from one block of addresses, up to its credentials."""
    person = builder.people[number]
    peer = f"stranger-{number}"
    lone.persons[peer] = person
    lone.handle(Connected(lone.now_ms, peer, True, ADDRESS))
    lone.receive(peer, lone.hello(peer))
    return peer, lone.receive(peer, lone.vertices(builder.vertices[number], request=-1))


def test_newcomers_of_one_block_are_turned_away_when_there_are_many():
    lone, builder = in_an_open_network()
    for number in range(2, 2 + BLOCK_MAX):
        knock(lone, builder, number)
        assert lone.node.is_stored(builder.vertices[number].id)
    _, effects = knock(lone, builder, 2 + BLOCK_MAX)
    assert not lone.node.is_stored(builder.vertices[2 + BLOCK_MAX].id)
    (goodbye,) = lone.sent(effects, Goodbye)
    assert goodbye.reason.startswith("too many newcomers")


def test_newcomer_that_got_in_brings_no_more_than_its_block_may():
    lone, builder = in_an_open_network()
    peer, _ = knock(lone, builder, 2)
    lone.prove(peer)
    lone.receive(peer, lone.vertices(*builder.vertices[3 : BLOCK_MAX + 5]))
    stored = [lone.node.is_stored(signed.id) for signed in builder.vertices[2 : BLOCK_MAX + 5]]
    assert stored == [True] * BLOCK_MAX + [False] * 3


def test_what_a_member_brings_and_what_is_needed_comes_in_whatever_its_number():
    lone, builder = in_an_open_network()
    last = builder.vertices[BLOCK_MAX + 5]
    for number in range(2, 2 + BLOCK_MAX):
        knock(lone, builder, number)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(builder.vertices[BLOCK_MAX + 4]))
    assert lone.node.is_stored(builder.vertices[BLOCK_MAX + 4].id)
    needing = builder.vertex(1, parents=(builder.vertices[1].ref, last.ref))
    lone.receive(peer, lone.vertices(builder.vertices[1], needing))
    lone.prove("stranger-2")
    lone.receive("stranger-2", lone.vertices(last))
    assert lone.node.is_stored(needing.id)
