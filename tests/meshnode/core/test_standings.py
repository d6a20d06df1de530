"""What follows from the roll: connections end, words are kept out, and all agree on it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.bodies import InvitationRevocation, Vouching
from dag.genesis import NewcomerLimits
from dag.types import Kind
from meshnode.core.commands import Connect
from meshnode.core.events import Committed, MembershipEnded, OrderHalted, PeerLost, PeerRefused
from meshnode.errors import CommandRejected
from tests.support.core_net import CoreNet, Host
from tests.support.member_scene import (
    agree,
    come,
    expel,
    invite,
    key_of,
    leave,
    make_member_net,
    peers,
    roll,
    say,
    standing,
)

LONG_MS = 20_000


def settle(net: CoreNet, hosts: list[Host], limit_ms: int = 60_000) -> None:
    net.run_until(lambda: agree(hosts), limit_ms)
    assert not any(host.find(OrderHalted) for host in net.hosts)


def bring_in(net: CoreNet, **options) -> Host:
    guest = invite(net, net.hosts[0], **options)
    guest.start()
    net.run_until(lambda: all(standing(host, guest) == "member" for host in net.up), LONG_MS)
    return guest


def test_expelled_guest_loses_its_connections_everywhere_and_is_told_why():
    net = make_member_net(4)
    guest = bring_in(net)
    honest = net.hosts[:4]
    net.run_until(lambda: all(guest.person.author in peers(host) for host in honest))
    expel(net, guest, voters=(0, 1, 2))
    net.run_until(lambda: all(standing(host, guest) == "expelled" for host in honest))
    net.run(LONG_MS)
    assert not any(guest.person.author in peers(host) for host in honest)
    assert not peers(guest)
    told = [reason for reason in list_reasons(guest) if "was expelled by decision" in reason]
    assert len(told) >= 4
    assert all("floods" in reason for reason in told)
    assert all(len(host.find(MembershipEnded)) == 1 for host in honest)
    assert not any(host.penalties for host in honest)


def list_reasons(host: Host) -> list[str]:
    """Why others ended their connections, as a host was told."""
    return [event.reason for event in (*host.find(PeerRefused), *host.find(PeerLost))]


def test_what_an_expelled_author_says_is_not_taken_and_what_it_said_stays():
    net = make_member_net(4)
    guest = bring_in(net)
    honest = net.hosts[:4]
    guest.publish(b"before")
    net.run_until(lambda: all(count_by(host, guest) == 2 for host in honest))
    net.cut([guest], honest)
    expel(net, guest, voters=(0, 1, 2))
    net.run_until(lambda: all(standing(host, guest) == "expelled" for host in honest))
    guest.publish(b"after")
    net.heal()
    net.run(LONG_MS)
    assert any("was expelled" in reason for reason in list_reasons(guest))
    assert all(count_by(host, guest) == 2 for host in honest)
    settle(net, honest)


def count_by(host: Host, author: Host) -> int:
    return sum(signed.vertex.author == author.person.author for signed in host.journal.values())


def test_expelled_validator_leaves_the_committee_and_is_heard_until_its_epoch_ends():
    net = make_member_net(5)
    member, honest = net.hosts[4], net.hosts[:4]
    expel(net, member, voters=(0, 1, 2, 3))
    net.run_until(lambda: all(standing(host, member) == "expelled" for host in honest))
    net.run_until(lambda: all(host.core.view().consensus.epoch == 1 for host in honest))
    for host in honest:
        seats = [seat.author for seat in host.core.view().consensus.validators]
        assert member.person.author not in seats
    net.run(LONG_MS)
    assert not any(member.person.author in peers(host) for host in honest)
    before = honest[0].applied
    honest[1].publish(b"on")
    net.run_until(lambda: honest[0].applied > before)
    settle(net, honest)


def test_revoked_identity_speaks_no_more_and_is_dialled_no_more():
    net = make_member_net(5)
    member, honest = net.hosts[4], net.hosts[:4]
    leave(member)
    net.run_until(lambda: all(standing(host, member) == "revoked" for host in net.hosts))
    with pytest.raises(CommandRejected, match="revoked its own identity"):
        member.publish(b"more")
    assert member.find(MembershipEnded)
    net.run(LONG_MS)
    assert not peers(member)
    with pytest.raises(CommandRejected, match="no member any more"):
        honest[1].submit(Connect(member.name, member.settings.addresses))
    settle(net, honest)


def test_revoked_invitation_admits_nobody_after_its_commit():
    net = make_member_net(4)
    early = bring_in(net, uses=3)
    late = invite(net, net.hosts[0], uses=3)
    say(net.hosts[0], InvitationRevocation(key_of(1)))
    net.run_until(lambda: all(roll(host).revoked for host in net.up))
    late.start()
    net.run(LONG_MS)
    assert not any(late.person.author in peers(host) for host in net.hosts[:4])
    assert standing(net.hosts[1], late) == ""
    assert standing(net.hosts[1], early) == "member"
    assert any("was taken back" in reason for reason in list_reasons(late))


def test_use_that_is_put_out_after_the_revocation_is_refused_by_all():
    net = make_member_net(4)
    guest, honest = invite(net, net.hosts[0], uses=3), net.hosts[:4]
    net.cut([honest[3]], honest[:3])
    guest.start()
    net.cut([guest], honest[:3])
    net.run_until(lambda: count_by(honest[3], guest) == 1)
    say(honest[0], InvitationRevocation(key_of(1)))
    net.run_until(lambda: all(roll(host).revoked for host in honest[:3]))
    net.heal()
    net.run_until(lambda: all(standing(host, guest) == "refused" for host in honest), LONG_MS * 3)
    net.run(LONG_MS)
    assert not any(guest.person.author in peers(host) for host in honest)
    settle(net, honest)


def test_ticket_for_one_lets_one_in_whoever_hears_first_of_whom():
    net = make_member_net(4)
    guests = [invite(net, net.hosts[0]) for _ in range(3)]
    honest = net.hosts[:4]
    for guest, host in zip(guests, honest[1:], strict=True):
        net.cut([guest], [other for other in net.hosts if other not in (guest, host)])
        guest.start()
    net.run_until(lambda: all(count_by(h, g) for g, h in zip(guests, honest[1:], strict=True)))
    net.run_until(
        lambda: all(sorted(standing(host, g) for g in guests) == RESULT for host in honest),
        LONG_MS * 3,
    )
    net.heal()
    net.run(LONG_MS)
    (member,) = [guest for guest in guests if standing(honest[0], guest) == "member"]
    for host in honest:
        assert [g.person.author in peers(host) for g in guests] == [g is member for g in guests]
    settle(net, [*honest, member])


RESULT = ["member", "refused", "refused"]


def test_expired_invitation_lets_nobody_in():
    net = make_member_net(4)
    guest = invite(net, net.hosts[0], expires_ms=net.now_ms - 1)
    guest.start()
    net.run(LONG_MS)
    assert not any(guest.person.author in peers(host) for host in net.hosts[:4])
    assert any("has expired" in reason for reason in list_reasons(guest))


def test_words_on_which_others_have_built_come_in_and_loose_ones_stay_out():
    """A minority that has not heard of the expulsion goes on with the expelled author."""
    net = make_member_net(4)
    guest = bring_in(net)
    majority, minority = net.hosts[:3], [net.hosts[3], guest]
    net.cut(majority, minority)
    guest.publish(b"built on")
    net.run(1_000)
    net.hosts[3].publish(b"mine")
    net.run(1_000)
    guest.publish(b"loose")
    net.run(1_000)
    expel(net, guest, voters=(0, 1, 2))
    net.run_until(lambda: all(standing(host, guest) == "expelled" for host in majority))
    net.heal()
    net.run_until(lambda: standing(net.hosts[3], guest) == "expelled", LONG_MS * 3)
    settle(net, net.hosts[:4], LONG_MS * 3)
    bodies = [
        [
            signed.vertex.body
            for signed in host.journal.values()
            if signed.vertex.kind == Kind.NOTE and signed.vertex.author == guest.person.author
        ]
        for host in net.hosts[:4]
    ]
    assert bodies[3] == [b"built on", b"loose"]
    assert bodies[:3] == [[b"built on"]] * 3
    told = [event.commit for event in net.hosts[3].find(Committed)]
    assert told == [event.commit for event in net.hosts[0].find(Committed)]


def test_node_that_starts_again_goes_on_refusing():
    net = make_member_net(4)
    guest = bring_in(net)
    honest = net.hosts[:4]
    expel(net, guest, voters=(0, 1, 2))
    net.run_until(lambda: all(standing(host, guest) == "expelled" for host in honest))
    for host in honest:
        host.crash()
        host.start()
    net.run(LONG_MS)
    assert not any(guest.person.author in peers(host) for host in honest)
    assert not any(isinstance(each, Connect) for each in guest.inputs)
    settle(net, honest)


def test_member_that_begins_from_a_snapshot_knows_who_is_out():
    net = make_member_net(4, checkpoint_commits=10, gc_commits=5)
    guest = bring_in(net)
    honest = net.hosts[:4]
    expel(net, guest, voters=(0, 1, 2))
    net.run_until(lambda: all(standing(host, guest) == "expelled" for host in honest))
    for number in range(20):
        honest[number % 4].publish(b"%d" % number)
        net.run(400)
    newcomer = invite(net, honest[1], bearer=2)
    newcomer.start()
    net.run_until(lambda: standing(newcomer, guest) == "expelled", LONG_MS)
    net.run_until(lambda: all(standing(host, newcomer) == "member" for host in honest), LONG_MS)
    settle(net, [*honest, newcomer])
    assert guest.person.author not in peers(newcomer)


def test_newcomers_of_an_open_network_come_in_turn_and_say_so_much():
    net = make_member_net(4, newcomers=NewcomerLimits(1, 5, 24))
    first, second = come(net), come(net)
    founders = net.hosts[:4]

    def stand(host: Host) -> list[str]:
        return sorted(standing(host, guest) for guest in (first, second))

    net.run_until(lambda: all(stand(host) == ["newcomer", "waiting"] for host in founders), LONG_MS)
    newcomer = first if standing(founders[0], first) == "newcomer" else second
    for number in range(20):
        newcomer.publish(b"%d" % number)
    net.run(LONG_MS)
    held = [count_by(host, newcomer) for host in founders]
    assert all(5 <= count < 20 for count in held)
    settle(net, founders)
    say(founders[0], Vouching(newcomer.person.author))
    net.run_until(lambda: all(standing(host, newcomer) == "member" for host in founders), LONG_MS)
    newcomer.publish(b"as a member")
    net.run_until(lambda: all(count_by(host, newcomer) == 22 for host in founders), LONG_MS * 3)
    settle(net, founders)


def test_profile_that_cannot_be_read_is_the_business_of_intake():
    net = make_member_net(1)
    host = net.hosts[0]
    standings = host.core._standings
    own = next(signed.vertex for signed in host.journal.values() if signed.vertex.kind == 0)
    for body in (b"junk", own.body):
        vertex = replace(own, author=bytes(32), body=body)
        assert standings.explain_newcomer(net.now_ms, vertex) == ""


def test_newcomers_whose_words_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("meshnode.core.standings.SPEAKERS_MAX", 2)
    net = make_member_net(1, newcomers=NewcomerLimits(0, 1, 24))
    standings = net.hosts[0].core._standings
    own = next(s.vertex for s in net.hosts[0].journal.values() if s.vertex.kind == 0)
    said = [replace(own, author=bytes([number]) * 32) for number in (1, 1, 2, 3, 1)]
    kept_out = [standings.is_kept_out(net.now_ms, vertex) for vertex in said]
    assert kept_out == [False, True, False, False, False]


def test_ticket_is_used_up_by_newcomers_that_no_commit_has_put_out_yet(monkeypatch):
    net = make_member_net(2)
    guest = bring_in(net)
    standings = net.hosts[0].core._standings
    profile = next(
        signed.vertex
        for signed in net.hosts[0].journal.values()
        if signed.vertex.author == guest.person.author and signed.vertex.kind == Kind.PROFILE
    )
    monkeypatch.setattr(standings._roll, "find_refusal", lambda *_: "")
    another = replace(profile, author=bytes(32))
    assert "its invitation is used up" in standings.explain_newcomer(net.now_ms, another)
    assert standings.explain_newcomer(net.now_ms, profile) == ""
