"""Vertices of unknown authors wait for a profile, at their sender's cost."""

from __future__ import annotations

import msgspec

from dag.genesis import Parameters, compute_network_id
from dag.types import Kind
from dag.vertex import Envelope, decode_signed
from meshnode.core.inputs import Standing
from meshnode.core.messages import GetProfiles
from tests.support.dag_builder import DagBuilder, make_genesis, make_person
from tests.support.horizons import level
from tests.support.lone_core import LoneCore

UNKNOWN = Standing.UNKNOWN_AUTHOR


def make(**limits):
    """A founder that holds all profiles but the guests', and two guests' vertices."""
    builder = DagBuilder(authors=2).profiles()
    guests = [builder.join(0), builder.join(1)]
    notes = [builder.vertex(guest, parents=()) for guest in guests]
    lone = LoneCore(genesis=builder.genesis, **limits)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(builder.vertices[0], builder.vertices[1], request=1))
    return builder, lone, peer, notes


def request_of(lone, effects):
    (message,) = lone.sent(effects, GetProfiles)
    return message


def test_unknown_authors_profile_is_asked_of_the_sender():
    builder, lone, peer, notes = make()
    effects = lone.receive(peer, lone.vertices(*notes, *notes, standing=UNKNOWN))
    request = request_of(lone, effects)
    assert request.authors == tuple(note.vertex.author for note in notes)
    assert lone.node.view().unknown_authors == 2
    lone.receive(peer, lone.vertices(*builder.vertices[2:4], request=request.request))
    assert lone.node.view().unknown_authors == 0
    assert all(lone.node.is_stored(note.id) for note in notes)


def test_unsigned_vertex_is_its_senders_fault():
    builder, lone, peer, notes = make()
    unsigned = msgspec.msgpack.decode(notes[0].wire, type=Envelope).unsigned
    forged = decode_signed(msgspec.msgpack.encode(Envelope(unsigned, bytes(64))))
    request = request_of(lone, lone.receive(peer, lone.vertices(forged, standing=UNKNOWN)))
    lone.receive(peer, lone.vertices(builder.vertices[2], request=request.request))
    assert lone.node.view().offences == {"bad_signature": 1}
    assert lone.node.view().peers == ()


def test_sender_without_the_profile_is_charged():
    _, lone, peer, notes = make()
    request = request_of(lone, lone.receive(peer, lone.vertices(notes[0], standing=UNKNOWN)))
    missing = request.authors
    lone.receive(peer, lone.vertices(request=request.request, missing=missing))
    assert lone.node.view().offences == {"not_served": 1}
    assert lone.node.view().unknown_authors == 0


def test_missing_profiles_nobody_asked_for_are_nothing():
    _, lone, peer, notes = make()
    request = request_of(lone, lone.receive(peer, lone.vertices(notes[0], standing=UNKNOWN)))
    lone.receive(peer, lone.vertices(request=request.request, missing=(bytes(32),), last=False))
    assert lone.node.view().offences == {}


def test_silence_ends_the_wait_and_a_late_answer_is_no_offence():
    builder, lone, peer, notes = make()
    request = request_of(lone, lone.receive(peer, lone.vertices(notes[0], standing=UNKNOWN)))
    lone.tick(2_000)
    assert lone.node.view().unknown_authors == 0
    late = lone.vertices(builder.vertices[2], request=request.request, last=False)
    lone.receive(peer, late)
    lone.receive(peer, lone.vertices(request=request.request))
    assert lone.node.view().offences == {}
    lone.receive(peer, lone.vertices(request=request.request))
    assert lone.node.view().offences == {"unasked": 1}
    lone.receive(peer, lone.vertices(notes[0]))
    assert lone.node.is_stored(notes[0].id)


def test_waiting_vertices_are_bounded_by_count_and_bytes():
    _, lone, peer, notes = make(wants_per_peer_max=1)
    lone.receive(peer, lone.vertices(*notes, standing=UNKNOWN))
    assert lone.node.view().unknown_authors == 1
    _, lone, peer, notes = make(wants_bytes_max=len(notes[0].wire))
    lone.receive(peer, lone.vertices(*notes, standing=UNKNOWN))
    assert lone.node.view().unknown_authors == 1


def test_peer_that_goes_takes_its_waiting_vertices_along():
    _, lone, peer, notes = make()
    lone.receive(peer, lone.vertices(*notes, standing=UNKNOWN))
    lone.disconnect(peer)
    assert lone.node.view().unknown_authors == 0


def test_author_that_became_known_meanwhile_is_checked_at_once():
    builder, lone, peer, notes = make()
    lone.receive(peer, lone.vertices(builder.vertices[2]))
    lone.receive(peer, lone.vertices(notes[0], standing=UNKNOWN))
    assert lone.node.is_stored(notes[0].id)


def test_own_block_that_comes_back_before_the_own_profile_waits_for_it():
    genesis = make_genesis([make_person(1)], parameters=Parameters(open=True))
    builder = DagBuilder(authors=2)
    builder.network = compute_network_id(genesis)
    (profile,) = builder.profiles([0]).vertices
    block = builder.block(0, ())
    lone = LoneCore(genesis=genesis)
    peer = lone.greet()
    effects = lone.receive(peer, lone.vertices(block, request=1))
    request = request_of(lone, effects)
    assert request.authors == (lone.person.author,)
    lone.receive(peer, lone.vertices(profile, request=request.request))
    assert lone.node.is_stored(block.id)
    assert lone.node.view().forks == ()


def test_nobody_is_asked_for_what_a_gone_peer_sent():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    signed = builder.vertices[1]
    lone.node.on_unknown("gone", signed, signed.vertex.author)
    assert lone.node.view().unknown_authors == 0


def test_peer_that_ends_itself_in_one_message_is_not_asked():
    builder, lone, peer, notes = make()
    vertex = builder.vertices[1].vertex
    bad = builder.sign(1, msgspec.structs.replace(vertex, kind=Kind.NOTE))
    message = lone.vertices(notes[0], standing=UNKNOWN)
    both = (*message.candidates, *lone.vertices(bad).candidates)
    effects = lone.receive(peer, msgspec.structs.replace(message, candidates=both))
    assert not lone.sent(effects, GetProfiles)
    assert lone.node.view().peers == ()


def test_answers_in_two_parts_release_in_two_parts():
    builder, lone, peer, notes = make()
    request = request_of(lone, lone.receive(peer, lone.vertices(*notes, standing=UNKNOWN)))
    number = request.request
    lone.receive(peer, lone.vertices(builder.vertices[2], request=number, last=False))
    assert lone.node.view().unknown_authors == 1
    lone.receive(peer, lone.vertices(builder.vertices[3], request=number))
    assert lone.node.view().unknown_authors == 0
    assert all(lone.node.is_stored(note.id) for note in notes)


def test_who_was_invited_by_a_stranger_waits_for_the_strangers_profile():
    builder = DagBuilder(authors=2).profiles()
    inviter = builder.join(0)
    guest = builder.join(inviter)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(*builder.vertices[:2], request=1))
    # The inviter's profile lies at the horizon: as a parent it counts as present.
    lone.node._intake.advance_horizon(level(builder.last(inviter).vertex.lamport))
    request = request_of(lone, lone.receive(peer, lone.vertices(builder.last(guest))))
    assert request.authors == (builder.people[inviter].author,)
    assert lone.node.view().unknown_authors == 1
    lone.receive(peer, lone.vertices(builder.last(inviter), request=request.request))
    assert lone.node.is_stored(builder.last(guest).id)
    assert lone.node.view().unknown_authors == 0
