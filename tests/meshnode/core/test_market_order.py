"""The market in cores over a simulated network: one state everywhere, and time-outs on a quiet mesh."""

from __future__ import annotations

import msgspec
import pytest

from dag.canonical import encode
from dag.genesis import Grant
from dag.types import Kind
from market.amounts import URUV_PER_RUV
from market.attestation import compute_model_id
from market.commands import Attest, Batch, Command, ListMotion, PlaceOrder, Stake
from market.contracts import ACCEPT_MS
from market.orders import Side, TimeInForce
from market.state import MarketState
from meshnode.core.events import Committed
from tests.support.core_net import CoreNet, Host, make_addressed_genesis
from tests.support.dag_builder import make_person

LISTING = ListMotion("kimi/fp8", "own_weights", 2_500, "open", 0)
MODEL = compute_model_id(LISTING)
RUV = URUV_PER_RUV


@pytest.fixture
def net() -> CoreNet:
    """Three validators with 100 ruv each."""
    people = [make_person(number) for number in range(3)]
    genesis = msgspec.structs.replace(
        make_addressed_genesis(people),
        grants=tuple(Grant(person.author, 100 * RUV) for person in people),
    )
    net = CoreNet(3, genesis=genesis, validates=True)
    net.start()
    net.run(5_000)
    return net


def say(net: CoreNet, number: int, *commands: Command) -> None:
    net.hosts[number].publish(encode(Batch(commands)), kind=Kind.MARKET)
    net.run(2_000)


def get_market(host: Host) -> MarketState:
    return host.core.machines.market


def list_kinds(host: Host) -> list[str]:
    told = [event.market for event in host.find(Committed) if event.market is not None]
    return [event.kind for step in told for event in step.events]


def test_trade_that_nobody_accepts_is_refunded_though_nobody_speaks(net: CoreNet):
    for number in range(3):
        say(net, number, LISTING)
    attest = Attest(MODEL, "own_weights", bytes(32), "1", bytes(32), 9, True, False)
    say(net, 0, Stake(50 * RUV), attest)
    say(net, 0, PlaceOrder(MODEL, Side.OFFER, 2_000, 5, 0))
    say(net, 1, PlaceOrder(MODEL, Side.BID, 2_000, 5, 0, TimeInForce.IOC))
    assert len(get_market(net.hosts[2]).contracts.rows) == 1
    net.run(ACCEPT_MS + 2_000)
    for host in net.hosts:
        market = get_market(host)
        assert len(market.contracts.rows) == 0
        assert market.count_imbalance() == 0
        assert list_kinds(host).count("contract_refunded") == 2
    buyer = net.hosts[1].settings.author
    assert get_market(net.hosts[0]).ledger.get(buyer).free == 100 * RUV + 20
    assert len({get_market(host).root() for host in net.hosts}) == 1


def test_what_was_told_is_not_told_again_and_the_state_is_the_same_after_a_crash(net: CoreNet):
    say(net, 0, Stake(5))
    host = net.hosts[0]
    before, root = list_kinds(host), get_market(host).root()
    assert before == ["staked"]
    host.crash()
    host.start()
    assert get_market(host).root() == root
    assert list_kinds(host) == before
