"""Members that meet for the first time show credentials only where they are not held."""

from __future__ import annotations

import msgspec

from dag.genesis import Parameters
from meshnode.core.effects import Send
from meshnode.core.messages import Credentials, Hello, Proof
from tests.support.core_net import CoreNet, make_addressed_genesis
from tests.support.dag_builder import Person, make_genesis, make_person
from tests.support.lone_core import LoneCore


def make_newcomer() -> tuple[LoneCore, Person]:
    """A core that has a profile to show, and a founder it meets."""
    founder = make_person(5)
    lone = LoneCore(genesis=make_genesis([founder], parameters=Parameters(open=True)))
    lone.tick(15_000)
    return lone, founder


def test_credentials_are_shown_to_whoever_does_not_hold_them():
    lone, founder = make_newcomer()
    peer = lone.greet(founder)
    assert len(lone.sent(lone.effects, Credentials)) == 1
    lone.disconnect(peer)
    lone.effects.clear()
    lone.greet(founder, expects=founder.author)
    assert len(lone.sent(lone.effects, Credentials)) == 1


def test_credentials_are_not_shown_to_whoever_holds_them():
    lone, founder = make_newcomer()
    lone.greet(founder, expects=lone.person.author)
    assert lone.sent(lone.effects, Proof)
    assert not lone.sent(lone.effects, Credentials)


def test_hello_names_the_author_whose_keys_are_held():
    lone, founder = make_newcomer()
    known, stranger = lone.connect(founder), lone.connect(make_person(6))
    expected = {
        effect.to[0]: effect.message.expects
        for effect in lone.effects
        if isinstance(effect, Send) and isinstance(effect.message, Hello)
    }
    assert expected == {known: founder.author, stranger: b""}


def test_members_that_meet_for_the_first_time_show_no_credentials():
    genesis = make_addressed_genesis([make_person(0)])
    net = CoreNet(1, genesis=msgspec.structs.replace(genesis, parameters=Parameters(open=True)))
    net.start()
    net.run(15_000)
    guests = [net.add(make_person(number)) for number in (1, 2)]
    guests[0].start()
    net.run_until(lambda: net.meshed and net.converged)
    # The second meets the founder, which does not know it, and then a member that has heard of it.
    guests[1].start()
    net.run_until(lambda: net.meshed and net.converged)
    for guest in guests:
        guest.sent.clear()
    net.disconnect(guests[0].name, guests[1].name, "cut")
    net.run_until(lambda: not net.meshed)
    net.run_until(lambda: net.meshed)
    for guest in guests:
        assert guest.sent["Proof"] == 1
        assert "Credentials" not in guest.sent
