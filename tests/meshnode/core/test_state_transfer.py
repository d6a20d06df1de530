"""A newcomer and a laggard join from a certified snapshot, whoever lies or is silent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as change

from dag.errors import Offence
from meshnode.core.events import Committed, OrderHalted, OrderResumed, Published, Repeated
from meshnode.core.messages import (
    Checkpoint,
    GetSnapshot,
    Heads,
    IHave,
    Message,
    Push,
    Snapshot,
    encode_message,
)
from meshnode.core.recovered import PRUNED_KEY, read_header
from tests.support.core_net import CoreNet, Host

EVERY = 10


def make_net(*, prunes: bool = True) -> CoreNet:
    """Four validators, and a fifth member that is not up yet."""
    genesis = CoreNet(5).genesis
    parameters = change(genesis.parameters, checkpoint_commits=EVERY, gc_commits=10)
    genesis = change(genesis, committee=genesis.committee[:4], parameters=parameters)
    net = CoreNet(5, validates=True, genesis=genesis)
    for host in net.hosts[:4]:
        host.settings = replace(host.settings, prunes=prunes)
    return net


def talk(net: CoreNet, hosts: list[Host], rounds: int) -> None:
    for number in range(rounds):
        hosts[number % len(hosts)].publish(b"%d" % number)
        net.run(400)
    net.run(3_000)


def list_order(host: Host) -> dict[int, bytes]:
    return {event.commit.index: event.commit.digest for event in host.find(Committed)}


def assert_joined(net: CoreNet, host: Host, other: Host) -> None:
    """It goes on from a snapshot, and comes to what the others come to."""
    (resumed,) = host.find(OrderResumed)
    own, theirs = list_order(host), list_order(other)
    assert max(own) == max(theirs) > resumed.index
    assert all(theirs[index] == digest for index, digest in own.items())
    assert not host.find(OrderHalted)
    assert len({each.core.summarise().heads_digest for each in net.up}) == 1


@pytest.fixture
def old_net() -> CoreNet:
    net = make_net()
    net.start(net.hosts[:4])
    talk(net, net.hosts[:4], 50)
    return net


def test_a_newcomer_joins_from_a_snapshot_and_holds_no_history_below_it(old_net):
    newcomer, other = old_net.hosts[4], old_net.hosts[0]
    newcomer.start()
    old_net.run(5_000)
    assert newcomer.life == 2
    floor = read_header(newcomer.snapshots[0]).floor
    assert floor.lowest > 0
    assert PRUNED_KEY in newcomer.values
    old = [s for s in newcomer.journal.values() if s.vertex.lamport <= floor.get(s.vertex.lane)]
    assert len(old) <= 2 * 5  # a first profile and a last word of each
    newcomer.publish(b"here")
    talk(old_net, old_net.hosts, 10)
    assert_joined(old_net, newcomer, other)
    assert not any(host.penalties for host in old_net.hosts)


def test_a_validator_that_was_down_meanwhile_joins_from_a_snapshot_and_makes_blocks_again():
    net = make_net()
    net.start(net.hosts[:4])
    talk(net, net.hosts[:4], 3)
    laggard, *others = net.hosts[3::-1]
    laggard.crash()
    talk(net, others, 60)
    laggard.start()
    net.run(10_000)
    assert laggard.life == 3
    laggard.publish(b"back")
    talk(net, net.hosts[:4], 10)
    assert_joined(net, laggard, others[0])
    assert laggard.core.view().consensus.standing == "active"
    assert not any(host.penalties for host in net.hosts)


def test_who_lags_a_little_does_not_join_from_a_snapshot(old_net):
    away, *others = old_net.hosts[3::-1]
    before = others[0].core.summarise().commit_index
    away.crash()
    while others[0].core.summarise().commit_index < before + EVERY:
        talk(old_net, others, 1)
    away.start()
    old_net.run(10_000)
    assert away.life == 2
    assert list_order(away) == list_order(others[0])


def lie(net: CoreNet, liar: Host, section: int) -> list[Snapshot]:
    """From now on a host spoils one section of what it serves."""
    spoiled: list[Snapshot] = []
    asked: dict[tuple[str, int], int] = {}

    def spoil(source: str, target: str, message: Message) -> bool:
        if isinstance(message, GetSnapshot) and target == liar.name:
            asked[source, message.request] = message.section
        if not isinstance(message, Snapshot) or source != liar.name or not message.data:
            return False
        if asked.get((target, message.request)) != section:
            return False
        data = bytes([message.data[0] ^ 1]) + message.data[1:]
        false = change(message, data=data)
        spoiled.append(false)
        host = next(each for each in net.hosts if each.name == target)
        net.at(net.now_ms, lambda: host.receive(source, encode_message(false)))
        return True

    net.drop = spoil
    return spoiled


@pytest.mark.parametrize("section", [0, 1, 2])
def test_who_serves_a_false_section_is_banned_and_another_serves_it(old_net, section):
    newcomer, liar = old_net.hosts[4], old_net.hosts[0]
    spoiled = lie(old_net, liar, section)
    newcomer.start()
    old_net.run_until(lambda: bool(spoiled) or newcomer.life == 2)
    old_net.run(5_000)
    assert newcomer.life == 2
    charged = {(effect.peer, effect.ban_ms > 0) for effect in newcomer.penalties}
    assert charged == ({(liar.name, True)} if spoiled else set())


def test_who_invents_a_checkpoint_is_passed_over(old_net):
    newcomer, liar = old_net.hosts[4], old_net.hosts[0]

    def boast(source: str, target: str, message: Message) -> bool:
        if isinstance(message, Checkpoint) and source == liar.name:
            false = encode_message(change(message, index=message.index + 1_000))
            old_net.at(old_net.now_ms + 5, lambda: newcomer.receive(source, false))
            return True
        return False

    old_net.drop = boast
    newcomer.start()
    old_net.run(5_000)
    assert newcomer.life == 2
    true = [snapshot.index for snapshot in old_net.hosts[1].snapshots]
    assert newcomer.snapshots[0].index in true  # what it says then leads to the next


def test_who_is_silent_is_passed_over(old_net):
    newcomer, silent = old_net.hosts[4], old_net.hosts[:2]
    names = {host.name for host in silent}
    old_net.drop = lambda source, _, message: isinstance(message, Snapshot) and source in names
    newcomer.start()
    old_net.run(15_000)
    assert newcomer.life == 2
    assert not newcomer.penalties


def test_who_has_caught_up_meanwhile_goes_on_as_it_was():
    net = make_net(prunes=False)
    net.start(net.hosts[:4])
    talk(net, net.hosts[:4], 50)
    newcomer, other = net.hosts[4], net.hosts[0]
    net.drop = lambda _source, _target, message: isinstance(message, Snapshot)
    newcomer.start()
    net.run(60_000)
    assert newcomer.life == 1
    assert list_order(newcomer) == list_order(other)
    assert not newcomer.find(OrderResumed)


def test_where_nobody_serves_a_snapshot_the_node_tries_again_after_a_rest(old_net):
    newcomer = old_net.hosts[4]
    asked: list[int] = []

    def refuse(_source: str, _target: str, message: Message) -> bool:
        if isinstance(message, GetSnapshot):
            asked.append(old_net.now_ms)
        return isinstance(message, Snapshot)

    old_net.drop = refuse
    newcomer.start()
    old_net.run(40_000)
    assert newcomer.life == 1
    assert 8 <= len(asked) <= 16
    old_net.drop = None
    old_net.run(60_000)
    assert newcomer.life == 2


def test_a_piece_nobody_asked_for_is_an_offence(old_net):
    one, other = old_net.hosts[:2]
    other.receive(one.name, encode_message(Snapshot(9, 4, 0, b"data", last=True)))
    assert [effect.offence for effect in other.penalties] == [Offence.UNASKED]


def test_nothing_else_is_fetched_while_a_snapshot_is(old_net):
    newcomer = old_net.hosts[4]
    said: list[tuple[int, type]] = []

    def listen(source: str, _target: str, message: Message) -> bool:
        if source == newcomer.name:
            said.append((newcomer.life, type(message)))
        return False

    old_net.drop = listen
    newcomer.start()
    old_net.run(5_000)
    assert newcomer.life == 2
    assert (1, GetSnapshot) in said
    assert (1, Heads) not in said
    assert (2, Heads) in said


def test_where_peers_have_moved_on_the_newer_snapshot_is_fetched_at_once(old_net):
    newcomer, others = old_net.hosts[4], old_net.hosts[:4]
    first = others[0].snapshots[-1].index
    old_net.drop = lambda _source, _target, message: (
        isinstance(message, GetSnapshot) and message.index == first and message.section > 0
    )
    newcomer.start()
    while others[0].snapshots[0].index <= first:
        for host in others:
            host.publish(b"on")
        old_net.run(100)
    old_net.drop = None
    old_net.run(4_000)
    assert newcomer.life == 2
    assert newcomer.snapshots[0].index > first


def test_what_is_said_before_anything_above_the_floor_is_held_waits_until_it_can_be_ordered():
    net = make_net()
    net.start(net.hosts[:4])
    talk(net, net.hosts[:4], 3)
    laggard, *others = net.hosts[3::-1]
    laggard.crash()
    talk(net, others, 60)
    net.drop = lambda _source, target, message: (
        target == laggard.name and isinstance(message, Heads | Push | IHave)
    )
    laggard.start()
    net.run_until(lambda: laggard.life == 3 and laggard.core.summarise().speech == "open")
    laggard.publish(b"too early")
    assert laggard.core.summarise().publications_queued == 1
    net.drop = None
    talk(net, others, 5)
    assert laggard.core.summarise().publications_queued == 0
    said = [each.signed.id for each in laggard.find(Published)]
    said += [each.signed.id for each in laggard.find(Repeated)]
    ordered = {ref.id for event in others[0].find(Committed) for ref in event.commit.vertices}
    assert said[-1] in ordered


def test_what_was_said_while_cut_off_is_said_again_after_the_join():
    net = make_net()
    net.start(net.hosts[:4])
    talk(net, net.hosts[:4], 3)
    laggard, *others = net.hosts[3::-1]
    net.cut([laggard], others)
    for number in range(3):
        laggard.publish(b"alone %d" % number)
        net.run(400)
    talk(net, others, 60)
    net.heal()
    net.run(40_000)
    assert laggard.life == 2
    talk(net, others, 3)
    floor = read_header(laggard.snapshots[0]).floor
    alone = [each.signed for each in laggard.find(Published) if b"alone" in each.signed.vertex.body]
    assert len(alone) == 3
    assert all(signed.vertex.lamport <= floor.speech for signed in alone)
    ordered = {ref.id for event in others[0].find(Committed) for ref in event.commit.vertices}
    again = {event.first: event.signed for event in laggard.find(Repeated)}
    for signed in alone:
        last = again[signed.id]
        while last.id in again:
            last = again[last.id]  # said while still catching up: that came too late as well
        assert last.vertex.body == signed.vertex.body
        assert last.id in ordered
    assert not any(host.penalties for host in net.hosts)
