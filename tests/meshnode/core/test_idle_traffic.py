"""A mesh in which nobody says anything costs its members little, minute by minute."""

from __future__ import annotations

import msgspec
import pytest

from dag.genesis import Parameters
from meshnode.core.commands import Serve
from meshnode.core.messages import ModelAdvert
from tests.support.core_net import CoreNet, make_addressed_genesis
from tests.support.dag_builder import make_person
from tests.support.idle_traffic import TrafficMeter

MEMBERS = 24
BYTES_PER_S_MAX = 850
"""Of 1,000 that real nodes may send: the model knows nothing of ARP, of retransmission, or of chance."""
MODEL = ModelAdvert("echo", "r", 4_096, False, "echo", "label")


@pytest.fixture(scope="module")
def minutes() -> list[dict[str, float]]:
    """Ten minutes of members that have joined one after the other, and serve what never changes."""
    people = [make_person(number, "hybrid") for number in range(MEMBERS)]
    genesis = make_addressed_genesis(people[:1], "hybrid")
    genesis = msgspec.structs.replace(genesis, parameters=Parameters(open=True))
    net = CoreNet(1, suite="hybrid", genesis=genesis)
    net.start()
    net.run(15_000)
    for person in people[1:]:
        net.add(person).start()
        net.run(1_000)
    net.run_until(lambda: net.converged)
    for host in net.hosts:
        assert len(host.core.view().members) == MEMBERS
        host.submit(Serve((MODEL,), 4, 0, 0, draining=False))
    found = []
    for _ in range(10):
        meter = TrafficMeter(net)
        net.run(60_000)
        found.append(meter.find_bytes_per_s())
    return found


def test_idle_traffic_stays_below_its_bound_from_the_first_minute_on(minutes):
    assert [minute for minute in minutes if sum(minute.values()) > BYTES_PER_S_MAX] == []


def test_credentials_are_shown_to_nobody_who_holds_them(minutes):
    assert not any("credentials" in minute for minute in minutes)


def test_adverts_that_say_nothing_new_are_rare(minutes):
    assert all(minute["advert"] < 15 for minute in minutes)


def test_nothing_is_compared_or_fetched_at_rest(minutes):
    said = {kind for minute in minutes for kind in minute}
    assert not said & {"heads", "ranges", "get", "items", "push", "ihave", "getprofiles"}
