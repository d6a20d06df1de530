"""A node speaks in one chain, never twice for one slot, whatever it has forgotten."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dag.bodies import PROFILE_DECODER
from dag.canonical import encode
from dag.genesis import Parameters
from dag.types import BODY_BYTES_MAX, Kind
from meshnode.core.commands import Publish, Renew
from meshnode.core.effects import Emit, Persist, RunJob, Send, StoreVertex
from meshnode.core.events import Published, PublishFailed, VertexAdmitted
from meshnode.core.messages import Credentials, GetLast, Push, encode_message
from meshnode.errors import ConfigError
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder, make_genesis, make_person
from tests.support.lone_core import LoneCore


def solo(**limits):
    """A core alone in its network: it may speak at once."""
    return LoneCore(genesis=make_genesis([make_person(0)]), **limits)


def own_chain(lone):
    own = [s for s in lone.journal.values() if s.vertex.author == lone.person.author]
    return sorted(own, key=lambda signed: signed.vertex.seq)


def test_first_start_publishes_the_profile():
    lone = solo()
    (profile,) = own_chain(lone)
    assert profile.vertex.kind == Kind.PROFILE
    assert profile.vertex.body == lone.settings.profile
    assert lone.node.view().speech == "open"


def test_publication_is_durable_before_anyone_hears_of_it():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    effects = lone.publish()
    order: list[Any] = [
        effect.event if isinstance(effect, Emit) else effect
        for effect in effects
        if not isinstance(effect, RunJob)
    ]
    kinds = [type(item) for item in order]
    assert kinds == [Persist, VertexAdmitted, Send, Published]
    signed = order[-1].signed
    assert order[0].record == StoreVertex(signed.id, signed.wire)
    assert order[2].message == Push((signed.wire,))
    assert order[1].source == ""


def test_publications_are_built_ahead_of_their_signatures():
    lone = solo()
    for number in range(5):
        lone.handle(lone.command(Publish(3, b"%d" % number), number), finish=False)
    assert len(lone.jobs) == 5
    assert lone.node.view().publications_queued == 5
    lone.jobs.reverse()
    lone.finish_jobs()
    published = [event for event in lone.events if isinstance(event, Published)]
    assert [event.token for event in published] == [0, 1, 2, 3, 4]
    chain = own_chain(lone)
    assert [signed.vertex.seq for signed in chain] == [0, 1, 2, 3, 4, 5]
    assert lone.node.view().heads == (chain[-1].ref,)


def test_knowledge_becomes_a_parent():
    builder = DagBuilder(authors=2).profiles()
    notes = [builder.vertex(1, body=b"%d" % n) for n in range(3)]
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.receive(peer, lone.vertices(builder.vertices[1], *notes))
    lone.publish(knowledge=(notes[0].id,))
    parents = own_chain(lone)[-1].vertex.parents
    assert notes[0].ref in parents
    assert notes[2].ref in parents
    assert parents[0] == own_chain(lone)[-2].ref


def test_parents_leave_out_what_drafts_cover_and_forked_authors():
    builder = DagBuilder(authors=3).profiles()
    builder.vertex(2)
    builder.fork(2)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.tick(1_000)
    lone.receive(peer, lone.vertices(*builder.vertices[1:]))
    for number in range(2):
        lone.handle(lone.command(Publish(3, b"x"), number), finish=False)
    lone.finish_jobs()
    first, second = own_chain(lone)[-2:]
    forked = {signed.ref for signed in builder.vertices[-2:]}
    assert not forked & set(first.vertex.parents)
    assert second.vertex.parents == (first.ref,)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Publish(3, bytes(BODY_BYTES_MAX + 1)), "body"),
        (Publish(-1, b""), "kind"),
        (Publish(Kind.PROFILE, b""), "kind"),
        (Publish(Kind.BLOCK, b""), "kind"),
        (Publish(3, b"", (bytes(32),)), "not held"),
        (Publish(3, b"", (bytes(32),) * 7), "at most 6"),
    ],
)
def test_publication_that_cannot_be_is_rejected(command, reason):
    assert reason in solo().refused(command)


def test_publications_are_bounded():
    lone = LoneCore(publications_max=3)
    for _ in range(2):
        lone.publish()
    assert lone.node.view().publications_queued == 2
    lone.publish()
    assert "wait already" in lone.refused(Publish(3, b""))


def test_publications_wait_for_word_of_the_own_past():
    lone = LoneCore()
    lone.publish()
    assert own_chain(lone) == []
    assert lone.node.view().speech == "waiting"
    peer = lone.greet()
    effects = lone.receive(peer, lone.vertices(request=1))
    assert [
        e.event.token for e in effects if isinstance(e, Emit) and isinstance(e.event, Published)
    ]
    assert len(own_chain(lone)) == 2


def test_nobody_to_ask_for_fifteen_seconds_is_enough():
    lone = LoneCore()
    lone.publish()
    lone.tick(14_999)
    assert own_chain(lone) == []
    lone.tick(1)
    assert len(own_chain(lone)) == 2


def test_next_peer_is_asked_when_the_first_goes_without_an_answer():
    lone = LoneCore()
    peer = lone.greet()
    lone.disconnect(peer)
    second = lone.connect(transport="second")
    lone.receive(second, lone.hello(second))
    effects = lone.prove(second)
    assert lone.sent(effects, GetLast)


def test_own_past_is_taken_back_before_anything_new_is_said():
    builder = DagBuilder(authors=2).profiles()
    old = [builder.vertex(0, body=b"old %d" % n, parents=()) for n in range(3)]
    lone = LoneCore(genesis=builder.genesis)
    lone.publish(b"new")
    peer = lone.greet()
    lone.receive(peer, lone.vertices(old[-1], request=1))
    assert lone.node.view().speech == "catching_up"
    assert own_chain(lone) == []
    lone.tick(5_000)
    assert own_chain(lone) == []
    lone.receive(peer, lone.vertices(builder.vertices[0], *old[:-1]))
    assert [signed.vertex.seq for signed in own_chain(lone)] == [0, 1, 2, 3, 4]
    assert own_chain(lone)[-1].vertex.body == b"new"
    assert not lone.node.view().forks


def greet_members(lone, builder, *places):
    return [lone.greet(builder.people[place]) for place in places]


def test_first_peer_that_knows_nothing_is_not_taken_at_its_word():
    """A restored copy asked one peer that had been away, and signed a slot twice (seed 177)."""
    builder = DagBuilder(authors=4).profiles()
    old = [builder.vertex(0, body=b"old %d" % n, parents=()) for n in range(2)]
    lone = LoneCore(genesis=builder.genesis)
    lone.publish(b"new")
    first, second, third = greet_members(lone, builder, 1, 2, 3)
    lone.receive(first, lone.vertices(request=1))
    lone.receive(second, lone.vertices(request=2))
    assert lone.node.view().speech == "waiting"
    lone.receive(third, lone.vertices(old[-1], request=3))
    assert lone.node.view().speech == "catching_up"
    lone.receive(third, lone.vertices(builder.vertices[0], old[0]))
    assert [signed.vertex.seq for signed in own_chain(lone)] == [0, 1, 2, 3]
    assert not lone.node.view().forks


def test_more_witnesses_are_waited_for_a_second():
    builder = DagBuilder(authors=4).profiles()
    lone = LoneCore(genesis=builder.genesis)
    (only,) = greet_members(lone, builder, 1)
    lone.tick(400)
    lone.receive(only, lone.vertices(request=1))
    lone.tick(599)
    assert lone.node.view().speech == "waiting"
    lone.tick(1)
    assert lone.node.view().speech == "open"


def test_late_first_answer_is_enough():
    builder = DagBuilder(authors=4).profiles()
    lone = LoneCore(genesis=builder.genesis)
    (only,) = greet_members(lone, builder, 1)
    lone.tick(1_500)
    assert lone.node.view().speech == "waiting"
    lone.receive(only, lone.vertices(request=1))
    assert lone.node.view().speech == "open"


def test_answer_after_the_opening_changes_nothing():
    builder = DagBuilder(authors=4).profiles()
    lone = LoneCore(genesis=builder.genesis)
    first, second = greet_members(lone, builder, 1, 2)
    lone.receive(first, lone.vertices(request=1))
    lone.tick(1_000)
    assert lone.node.view().speech == "open"
    lone.receive(second, lone.vertices(request=2))
    assert lone.node.view().speech == "open"


def test_no_more_than_eight_peers_are_asked():
    builder = DagBuilder(authors=12).profiles()
    lone = LoneCore(genesis=builder.genesis)
    asked = 0
    for place in range(1, 11):
        peer = lone.connect(builder.people[place])
        lone.receive(peer, lone.hello(peer))
        asked += len(lone.sent(lone.prove(peer), GetLast))
    assert asked == 8


def test_drafts_are_made_anew_when_a_peer_hands_back_an_own_vertex():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    old = builder.vertex(0, body=b"old", parents=())
    lone.handle(lone.command(Publish(3, b"new"), 5), finish=False)
    lone.receive(peer, lone.vertices(old), finish=False)
    lone.finish_jobs()
    assert [s.vertex.body for s in own_chain(lone)[1:]] == [b"old", b"new"]
    assert not lone.node.view().forks
    assert [e.token for e in lone.events if isinstance(e, Published)] == [5]


def test_second_signer_of_the_own_chain_silences_this_one():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.publish(b"mine")
    mine = own_chain(lone)[-1]
    twin = builder.twin(mine, body=b"theirs")
    lone.handle(lone.command(Publish(3, b"pending"), 9), finish=False)
    lone.receive(peer, lone.vertices(builder.vertices[1], twin), finish=False)
    lone.finish_jobs()
    assert [(e.token) for e in lone.events if isinstance(e, PublishFailed)] == [9]
    assert lone.node.view().speech == "forked"
    assert "identity" in lone.refused(Publish(3, b""))
    lone.restart()
    assert lone.node.view().speech == "forked"


def test_profile_is_published_again_when_it_changes():
    lone = solo()
    profile = encode(lone.person.profile(addresses=("/new",)))
    lone.restart(profile=profile)
    assert [signed.vertex.body for signed in own_chain(lone)][-1] == profile
    lone.restart()
    assert len(own_chain(lone)) == 2


def renewed(lone, **fields):
    """The own profile with other fields."""
    profile = PROFILE_DECODER.decode(lone.settings.profile)
    return encode(msgspec.structs.replace(profile, **fields))


def test_renewed_profile_is_said_once_and_kept_by_a_restart_with_it():
    lone = solo()
    profile = renewed(lone, x25519_key=bytes([9]) * 32)
    for token in range(2):
        lone.handle(lone.command(Renew(profile), token))
    assert [signed.vertex.body for signed in own_chain(lone)] == [lone.settings.profile, profile]
    assert lone.node.authors.get_keys(lone.person.author).x25519_key == bytes([9]) * 32
    lone.restart(profile=profile)
    assert len(own_chain(lone)) == 2


def test_profile_renewed_before_the_node_may_speak_is_said_when_it_may():
    lone = LoneCore()
    profile = renewed(lone, addresses=("/elsewhere",))
    lone.handle(lone.command(Renew(profile), 1))
    assert own_chain(lone) == []
    lone.tick(15_000)
    assert [signed.vertex.body for signed in own_chain(lone)] == [lone.settings.profile, profile]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ed25519_key": bytes(32)}, "not the digest"),
        ({"x25519_key": b"1"}, "size"),
        ({"libp2p_key": bytes(32)}, "transport key"),
    ],
)
def test_profile_with_another_identity_is_not_renewed(fields, reason):
    lone = solo()
    assert reason in lone.refused(Renew(renewed(lone, **fields)))
    assert "decode" in lone.refused(Renew(b"no profile"))
    assert len(own_chain(lone)) == 1


def test_first_profile_is_signed_once_whatever_happens_before_it_is_stored():
    lone = LoneCore()
    first = lone.values["first-profile"]
    assert own_chain(lone) == []
    lone.now_ms += 1_000
    lone.restart()
    lone.tick(15_000)
    assert own_chain(lone)[0].wire == first


def test_guest_shows_its_inviters_and_itself():
    net = CoreNet(1)
    net.start()
    net.run(100)
    founder = net.hosts[0]
    builder = DagBuilder(authors=2)
    builder.network = net.network
    person = make_person(1)
    profile = person.profile(builder.invite(0, 1), addresses=("/sim/peer-1",))
    guest = net.add(
        person,
        profile=encode(profile),
        inviter=founder.person.author,
        credentials=(next(iter(founder.journal.values())).wire,),
    )
    guest.start()
    net.run_until(lambda: net.meshed and net.converged)
    assert founder.core.view().vertices == 2
    assert [member.name for member in founder.core.view().members] == ["peer-0", "peer-1"]
    assert guest.sent[Credentials.__name__] == 1


def test_guest_without_its_inviters_profile_is_told_to_get_a_ticket():
    with pytest.raises(ConfigError, match="new ticket"):
        LoneCore(genesis=make_genesis([make_person(5)]), inviter=make_person(5).author)


def test_profile_that_no_peer_would_take_is_told_at_start():
    with pytest.raises(ConfigError, match="invitation only"):
        LoneCore(genesis=make_genesis([make_person(5)]))


def test_open_network_needs_no_inviter():
    genesis = make_genesis([make_person(5)], parameters=Parameters(open=True))
    lone = LoneCore(genesis=genesis)
    lone.tick(15_000)
    assert len(own_chain(lone)) == 1


def test_credentials_that_are_not_valid_are_told_at_start():
    builder = DagBuilder(authors=2, name="other").profiles()
    with pytest.raises(ConfigError, match="credentials"):
        LoneCore(credentials=(builder.vertices[1].wire,))


def test_credentials_given_again_are_no_news():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis, credentials=(builder.vertices[1].wire,))
    assert lone.node.is_stored(builder.vertices[1].id)
    lone.restart()
    assert lone.node.is_stored(builder.vertices[1].id)


def test_long_chains_of_credentials_are_split_over_frames():
    builder = DagBuilder(authors=1, suite="hybrid").profiles()
    for number in range(6):
        builder.join(number)
    wires = tuple(signed.wire for signed in builder.vertices)
    lone = LoneCore()
    lone.node._peers.set_credentials(wires)
    peer = lone.connect()
    effects = lone.receive(peer, lone.hello(peer))
    messages = lone.sent(effects, Credentials)
    assert tuple(wire for message in messages for wire in message.profiles) == wires
    assert len(messages) > 1
    assert all(len(encode_message(message)) <= 60_000 for message in messages)


def test_answer_in_parts_opens_at_its_last():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1, last=False))
    assert lone.node.view().speech == "waiting"
    lone.receive(peer, lone.vertices(request=1))
    assert lone.node.view().speech == "open"


def test_node_that_forked_alone_stays_silent_after_a_restart():
    builder = DagBuilder(authors=1).profiles()
    lone = solo()
    lone.publish(b"mine")
    mine = own_chain(lone)[-1]
    builder.network = lone.network
    twin = builder.twin(mine)
    lone.journal[twin.id] = twin
    lone.restart()
    assert lone.node.view().speech == "forked"
    assert lone.node.next_wakeup is None


def test_profile_update_that_a_fork_stops_is_nobodys_loss():
    builder = DagBuilder(authors=2).profiles()
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.publish(b"mine")
    twin = builder.twin(own_chain(lone)[-1])
    lone.disconnect(peer)
    lone.restart(profile=encode(lone.person.profile(addresses=("/new",))))
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1), finish=False)
    lone.receive(peer, lone.vertices(twin), finish=False)
    lone.finish_jobs()
    assert lone.node.view().speech == "forked"
    assert not [event for event in lone.events if isinstance(event, PublishFailed)]


def test_opening_before_the_first_profile_is_signed_waits_for_it():
    net = CoreNet(
        1, job_ms=17_000, founders=1, genesis=make_genesis([make_person(0), make_person(1)])
    )
    net.start()
    net.run(16_000)
    assert net.hosts[0].core.view().speech == "open"
    assert net.hosts[0].core.view().vertices == 0
    net.run(2_000)
    assert net.hosts[0].core.view().vertices == 1


def test_own_vertex_of_a_later_time_does_not_pass_for_one_just_made():
    builder = DagBuilder(authors=2).profiles()
    late = builder.vertex(0, parents=(), time_ms=builder.vertices[0].vertex.time_ms + 125_000)
    lone = LoneCore(genesis=builder.genesis)
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.receive(peer, lone.vertices(late))
    lone.tick(14_999)
    lone.handle(lone.command(Publish(3, b"new"), 5), finish=False)
    lone.now_ms += 1
    effects = lone.handle(lone.ticked(), finish=False)
    assert not lone.sent(effects, Push)
    lone.finish_jobs()
    assert [s.vertex.body for s in own_chain(lone)[1:]] == [b"note", b"new"]
    assert not lone.node.view().forks


def test_first_profile_from_before_the_clock_was_corrected_is_still_said():
    lone = LoneCore()
    lone.now_ms -= 2 * 3_600_000
    lone.restart()
    assert own_chain(lone) == []
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    (profile,) = own_chain(lone)
    assert profile.vertex.time_ms > lone.now_ms
    lone.publish()
    assert len(own_chain(lone)) == 2
