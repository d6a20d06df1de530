"""Connections: who is let in, who is thrown out, and who is thought dead."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dag.errors import Offence
from meshnode.core.commands import Connect, Leave
from meshnode.core.effects import Hangup, Penalise, RunJob, Send
from meshnode.core.events import OffenceSeen, PeerLost, PeerReady
from meshnode.core.inputs import Candidate, Connected, Disconnected, Received, Standing, Vertices
from meshnode.core.messages import (
    Advert,
    Digest,
    Goodbye,
    Ping,
    Pong,
    Proof,
)
from meshnode.core.peers import MEASURE_MS
from tests.support.core_net import CoreNet
from tests.support.dag_builder import DagBuilder, make_person
from tests.support.lone_core import LoneCore

EMPTY = Digest(bytes(32), 0, 0)


def test_peers_become_ready_when_both_have_proved_who_they_are():
    net = CoreNet(2)
    net.start()
    net.run(1_000)
    for host, other in (net.hosts, net.hosts[::-1]):
        (ready,) = host.find(PeerReady)
        assert (ready.peer, ready.author, ready.name) == (
            other.name,
            other.person.author,
            other.person.name,
        )
        (view,) = host.core.view().peers
        assert view.addresses == other.settings.addresses
        assert view.strikes == 0
        assert view.rtt_ms is None


def test_ping_measures_the_round_trip():
    net = CoreNet(2, latency_ms=7)
    net.start()
    net.run(6_000)
    assert {peer.rtt_ms for host in net.hosts for peer in host.core.view().peers} == {14}


def test_handshake_waits_for_the_own_first_profile():
    net = CoreNet(2, job_ms=300)
    net.start()
    net.run(2_000)
    assert net.meshed


def test_other_network_is_refused_at_hello():
    lone = LoneCore()
    peer = lone.connect()
    effects = lone.receive(peer, lone.hello(peer, network=bytes(32)))
    assert [effect.offence for effect in effects if isinstance(effect, Penalise)] == [
        Offence.WRONG_NETWORK
    ]
    assert any(isinstance(effect, Hangup) for effect in effects)
    assert not any(isinstance(effect, RunJob) for effect in effects)
    assert lone.receive(peer, Ping(1)) == []


def test_other_version_is_refused_without_offence():
    lone = LoneCore()
    peer = lone.connect()
    (hangup,) = lone.receive(peer, lone.hello(peer, version=2))
    assert isinstance(hangup, Hangup)
    assert "version 2" in hangup.reason


def test_own_author_is_refused():
    lone = LoneCore()
    peer = lone.connect()
    (hangup,) = lone.receive(peer, lone.hello(peer, author=lone.person.author))
    assert isinstance(hangup, Hangup)


def test_stranger_without_profile_is_not_a_member():
    lone = LoneCore()
    stranger = make_person(77)
    peer = lone.connect(stranger)
    lone.receive(peer, lone.hello(peer, author=stranger.author))
    effects = lone.receive(peer, Proof(bytes(64)))
    assert [e.offence for e in effects if isinstance(e, Penalise)] == [Offence.NOT_A_MEMBER]
    assert lone.node.view().offences == {"not_a_member": 1}


def test_wrong_proof_bans():
    lone = LoneCore()
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer))
    effects = lone.receive(peer, Proof(bytes(64)))
    (penalty,) = [effect for effect in effects if isinstance(effect, Penalise)]
    assert penalty.offence is Offence.BAD_PROOF
    assert penalty.ban_ms == lone.settings.timing.ban_ms
    lone.disconnect(peer)
    (hangup,) = [e for e in lone.connect_raw(peer) if isinstance(e, Hangup)]
    assert "banned" in hangup.reason
    lone.disconnect(peer)
    lone.now_ms += lone.settings.timing.ban_ms
    assert not [e for e in lone.connect_raw(peer) if isinstance(e, Hangup)]


def test_a_banned_author_does_not_come_back_under_another_transport():
    lone = LoneCore()
    peer = lone.greet()
    lone.reject(peer, Offence.MALFORMED, "noise")
    lone.disconnect(peer)
    lone.greet(transport="other", ready=False)
    assert "its author is banned" in lone.hangups[-1].reason
    lone.disconnect("other")
    lone.now_ms += lone.settings.timing.ban_ms
    lone.greet(transport="other")


def test_who_plays_an_author_does_not_get_it_banned():
    lone = LoneCore()
    peer = lone.connect(transport="mallory")
    lone.receive(peer, lone.hello(peer))
    lone.reject(peer, Offence.MALFORMED, "noise")
    lone.greet()


def test_bans_survive_a_restart():
    lone = LoneCore()
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer))
    lone.receive(peer, Proof(bytes(64)))
    lone.restart()
    assert [e for e in lone.connect_raw(peer) if isinstance(e, Hangup)]


@pytest.mark.parametrize(
    "message",
    [
        Ping(1),
        EMPTY,
        Advert(1, (), 0, 0, 0, False),
        Proof(bytes(64)),
        Vertices(-1, ()),
        Vertices(0, ()),
    ],
    ids=lambda message: f"{type(message).__name__}-{getattr(message, 'request', '')}",
)
def test_nothing_but_hello_is_listened_to_first(message):
    lone = LoneCore()
    peer = lone.connect()
    effects = lone.receive(peer, message)
    assert [e.offence for e in effects if isinstance(e, Penalise)] == [Offence.OUT_OF_TURN]
    assert any(isinstance(effect, Hangup) for effect in effects)


def test_second_hello_is_out_of_turn():
    lone = LoneCore()
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer))
    lone.receive(peer, lone.hello(peer))
    assert lone.node.view().offences == {"out_of_turn": 1}


def test_hello_of_a_ready_peer_is_out_of_turn():
    lone = LoneCore()
    peer = lone.greet()
    effects = lone.receive(peer, lone.hello(peer))
    assert any(isinstance(effect, Hangup) for effect in effects)
    assert [e for e in lone.events if isinstance(e, PeerLost)]


def test_silent_handshake_is_ended():
    lone = LoneCore()
    lone.connect()
    assert lone.node.next_wakeup is not None
    effects = lone.tick(3_000)
    assert [e.offence for e in effects if isinstance(e, Penalise)] == [Offence.SILENT]


def test_silent_peer_is_pinged_and_then_ended():
    lone = LoneCore()
    peer = lone.greet()
    pings = [e for e in lone.tick(5_000) if isinstance(e, Send) and isinstance(e.message, Ping)]
    assert len(pings) == 1
    assert not [e for e in lone.tick(5_000) if isinstance(e, Hangup)]
    assert [e for e in lone.tick(5_000) if isinstance(e, Hangup)]
    assert lone.node.view().offences == {"silent": 1}
    lone.disconnect(peer)


def test_silent_peer_that_speaks_at_last_is_kept():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, lone.vertices(request=1))
    lone.tick(5_000)
    lone.tick(5_001)
    last_ms = lone.node.next_wakeup
    lone.receive(peer, Ping(1))
    due_ms = lone.node.next_wakeup
    assert last_ms is not None
    assert due_ms == last_ms + 1
    assert not [e for e in lone.tick(4_999) if isinstance(e, Hangup)]


def test_deadlines_that_are_kept_are_those_a_fresh_look_finds():
    net = CoreNet(5, drop=lambda source, _target, _message: source == net.hosts[4].name)
    looks = 0
    net.start()
    for moment in range(400):
        if moment % 40 == 20:
            net.hosts[moment // 40 % 4].publish(b"note")
        if moment == 150:
            net.hosts[0].crash()
        if moment == 250:
            net.hosts[0].start()
        net.run(50)
        for node in (host.node for host in net.hosts if host.node is not None):
            for part in (node._peers, node._reconciliation):
                assert part.next_deadline() == part._find_deadline()
                looks += 1
    assert looks > 3_000


def test_peer_that_is_heard_is_pinged_to_measure_the_way_only():
    lone = LoneCore()
    peer = lone.greet()
    asked_ms = []
    for _ in range(70):
        pings = lone.sent(lone.tick(1_000), Ping)
        asked_ms += [lone.now_ms] * len(pings)
        for ping in pings:
            lone.receive(peer, Pong(ping.nonce, EMPTY, 0))
        lone.receive(peer, Ping(1))
    waits_ms = [later - sooner for sooner, later in pairwise(asked_ms)]
    assert waits_ms == [MEASURE_MS, MEASURE_MS]


def test_one_side_of_a_silent_connection_asks_for_signs_of_life():
    net = CoreNet(2, latency_ms=20)
    net.start()
    net.run(6_000)
    pings: list[str] = []

    def count(source: str, _target: str, message: object) -> bool:
        if isinstance(message, Ping):
            pings.append(source)
        return False

    net.drop = count
    net.run(25_000)
    assert 4 <= len(pings) <= 6
    assert set(pings) == {min(host.name for host in net.hosts)}


def test_pong_without_ping_is_unasked():
    lone = LoneCore()
    peer = lone.greet()
    lone.receive(peer, Pong(1, EMPTY, 0))
    assert lone.node.view().offences == {"unasked": 1}
    (view,) = lone.node.view().peers
    assert view.strikes == 1


def test_light_offences_add_up_to_a_ban_and_are_forgiven_in_time():
    lone = LoneCore()
    peer = lone.greet()
    for _ in range(7):
        lone.receive(peer, Pong(1, EMPTY, 0))
    lone.now_ms += 4 * 60_000
    effects = lone.receive(peer, Pong(1, EMPTY, 0))
    assert not [e for e in effects if isinstance(e, Hangup)]
    assert lone.node.view().peers[0].strikes == 4
    for _ in range(4):
        effects = lone.receive(peer, Pong(1, EMPTY, 0))
    assert [e.ban_ms > 0 for e in effects if isinstance(e, Penalise)] == [True]
    assert [e for e in effects if isinstance(e, Hangup)]


def test_offences_are_told_and_counted_even_when_the_peer_is_gone():
    lone = LoneCore()
    peer = lone.greet()
    lone.reject(peer, Offence.MALFORMED, "x" * 1_000)
    (seen,) = [e for e in lone.events if isinstance(e, OffenceSeen)]
    assert len(seen.detail) <= 256
    assert lone.reject(peer, Offence.MALFORMED, "again") == []
    assert lone.node.view().offences == {"malformed": 2}


def test_goodbye_ends_a_connection_politely():
    lone = LoneCore()
    peer = lone.greet()
    effects = lone.receive(peer, Goodbye("closing"))
    assert [type(e) for e in effects if not isinstance(e, Penalise)][-1] is Hangup
    assert lone.node.view().offences == {}
    lone.disconnect(peer)
    again = lone.connect()
    assert any(isinstance(e, Hangup) for e in lone.receive(again, Goodbye("closing")))


def test_leave_says_goodbye_and_dials_no_more():
    net = CoreNet(2)
    net.start()
    net.run(1_000)
    net.hosts[0].submit(Leave("shutting down"))
    net.run(500)
    assert [e.reason for e in net.hosts[1].find(PeerLost)] == ["goodbye: shutting down"]
    net.hosts[0].crash()
    assert net.hosts[1].core.view().peers == ()


def test_second_connection_of_an_author_yields_to_the_first():
    lone = LoneCore()
    first = lone.greet()
    second = lone.greet(transport="second", ready=False)
    assert [peer.peer for peer in lone.node.view().peers] == [first]
    assert lone.hangups[-1].peer == second


def test_second_connection_of_an_author_replaces_a_dead_first():
    lone = LoneCore()
    first = lone.greet()
    lone.tick(5_000)
    lone.tick(5_000)
    second = lone.greet(transport="second")
    assert [peer.peer for peer in lone.node.view().peers] == [second]
    assert lone.hangups[-1].peer == first


def test_inbound_connections_are_bounded():
    lone = LoneCore(peers_max=1)
    lone.greet()
    (hangup,) = [e for e in lone.connect_raw("p1") if isinstance(e, Hangup)]
    assert (hangup.peer, hangup.reason) == ("p1", "too many connections")
    assert not [e for e in lone.connect_raw("p2", inbound=False) if isinstance(e, Hangup)]


def test_who_has_proved_nothing_makes_room_for_a_newcomer():
    lone = LoneCore(peers_max=3)
    lone.greet()
    for number in range(50):
        lone.connect_raw(f"p{number}")
    assert [hangup.peer for hangup in lone.hangups] == [f"p{number}" for number in range(48)]
    assert len(lone.node.view().peers) == 1


def test_messages_that_overtake_the_own_verdict_are_kept_and_bounded():
    lone = LoneCore()
    peer = lone.greet(ready=False, answer=False)
    for sequence in range(1, 300):
        lone.receive(peer, Advert(sequence, (), 1, 0, 0, False), finish=False)
    lone.finish_jobs()
    (view,) = lone.node.view().peers
    assert view.advert is not None
    assert view.advert.sequence == 256


def test_early_goodbye_stops_the_rest():
    lone = LoneCore()
    peer = lone.greet(ready=False, answer=False)
    lone.receive(peer, Ping(1), finish=False)
    lone.reject(peer, Offence.MALFORMED, "x")
    lone.finish_jobs()
    assert lone.node.view().peers == ()


def test_early_messages_stop_at_the_first_that_ends_the_connection():
    lone = LoneCore()
    peer = lone.greet(ready=False, answer=False)
    for _ in range(9):
        lone.receive(peer, Pong(9, EMPTY, 0), finish=False)
    lone.finish_jobs()
    assert lone.node.view().peers == ()


def test_own_proof_is_not_sent_after_a_hangup():
    lone = LoneCore()
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer), finish=False)
    lone.reject(peer, Offence.MALFORMED, "x")
    assert not [e for e in lone.finish_jobs() if isinstance(e, Send)]


def test_own_proof_is_not_sent_over_the_next_connection():
    lone = LoneCore()
    peer = lone.connect()
    lone.handle(Received(lone.now_ms, peer, lone.hello(peer)), finish=False)
    lone.handle(Disconnected(lone.now_ms, peer, "gone"), finish=False)
    lone.handle(Connected(lone.now_ms, peer, inbound=True, address="/sim/x"), finish=False)
    assert lone.jobs
    assert lone.sent(lone.finish_jobs(), Proof) == []


def test_a_verdict_is_not_for_the_next_connection():
    lone = LoneCore()
    peer = lone.greet(ready=False, answer=False)
    lone.handle(Disconnected(lone.now_ms, peer, "gone"), finish=False)
    lone.handle(Connected(lone.now_ms, peer, inbound=True, address="/sim/x"), finish=False)
    lone.finish_jobs()
    assert not lone.node.view().peers
    assert not lone.hangups


def test_connect_to_itself_or_nowhere_is_rejected():
    lone = LoneCore()
    assert "own" in lone.refused(Connect(lone.settings.transport, ("/a",)))
    assert "addresses" in lone.refused(Connect("x", ()))
    assert "addresses" in lone.refused(Connect("x", ("/a",) * 9))


def test_credentials_of_a_guest_make_it_a_member():
    builder = DagBuilder(authors=1).profiles()
    guest = builder.join(0)
    lone = LoneCore(genesis=builder.genesis)
    assert lone.node.is_stored(builder.vertices[0].id)
    person = builder.people[guest]
    peer = lone.connect(person)
    lone.receive(peer, lone.hello(peer, author=person.author))
    profile = builder.vertices[-1]
    effects = lone.receive(peer, Vertices(-1, (Candidate(profile, Standing.VERIFIED),)))
    assert not [e for e in effects if isinstance(e, Penalise)]
    lone.prove(peer, person)
    assert [view.name for view in lone.node.view().peers] == [person.name]


def test_hello_is_only_a_claim():
    lone = LoneCore()
    peer = lone.connect()
    lone.receive(peer, lone.hello(peer))
    assert lone.node.view().peers == ()


def test_hanging_up_on_all_passes_over_what_has_ended_already():
    lone = LoneCore()
    one = lone.greet()
    link = lone.node._peers.get_open(one)
    assert link is not None
    lone.node._peers.close(lone.now_ms, link, "enough")
    lone.node._outbox.take()
    lone.node._peers.hang_up_all("again")
    assert lone.node._outbox.take() == []


def test_validators_have_room_besides_however_many_they_are():
    lone = LoneCore(peers_max=1)
    lone.greet()
    lone.node._membership.set_colleagues(lone.now_ms, [bytes([n]) * 32 for n in range(2)])
    refused = [
        [effect for effect in lone.connect_raw(f"p{number}") if isinstance(effect, Hangup)]
        for number in range(2)
    ]
    assert refused == [[], []]
    lone.node._membership.set_colleagues(lone.now_ms, [])
    assert [effect for effect in lone.connect_raw("p2") if isinstance(effect, Hangup)]
