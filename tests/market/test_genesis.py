"""What a market may begin with."""

from __future__ import annotations

import pytest

from dag.bodies import Profile
from dag.genesis import GRANTED_MAX, Genesis, Parameters, compute_network_id
from dag.identity import compute_author_id
from market.amounts import SUPPLY_MAX
from market.errors import Refused
from market.genesis import Grant, MarketGenesis, check_genesis, make_market_genesis

ALICE, BOB = bytes(32), bytes([1]) * 32


def test_market_belongs_to_the_network_of_its_genesis_and_has_its_grants():
    founder = Profile(bytes(32), b"", b"", b"", b"", "", (), b"")
    grants = (Grant(ALICE, 5),)
    genesis = Genesis(1, "n", "mesh", "ed25519", 0, bytes(16), (founder,), (), Parameters(), grants)
    made = make_market_genesis(genesis)
    founders = (compute_author_id(bytes(32), b""),)
    assert made == MarketGenesis(compute_network_id(genesis), "ed25519", grants, founders)
    check_genesis(made)


def test_a_network_and_its_market_bound_money_alike():
    assert GRANTED_MAX == SUPPLY_MAX


@pytest.mark.parametrize(
    ("network", "grants"),
    [
        (b"short", ()),
        (ALICE, (Grant(b"short", 1),)),
        (ALICE, (Grant(ALICE, 1), Grant(ALICE, 1))),
        (ALICE, (Grant(ALICE, 0),)),
        (ALICE, (Grant(ALICE, SUPPLY_MAX), Grant(BOB, 1))),
    ],
)
def test_genesis_is_refused_when_no_market_can_begin_so(network: bytes, grants: tuple):
    with pytest.raises(Refused):
        check_genesis(MarketGenesis(network, "ed25519", grants))
