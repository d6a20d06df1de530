"""What a market begins with."""

from __future__ import annotations

import msgspec

from dag.genesis import Genesis, Grant, Suite, compute_network_id
from dag.identity import compute_author_id
from dag.types import ID_BYTES
from market.amounts import SUPPLY_MAX
from market.errors import Code, Refused

__all__ = ["Grant", "MarketGenesis", "check_genesis", "make_market_genesis"]


class MarketGenesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The network a market belongs to, and who has what at first."""

    network: bytes
    suite: Suite
    grants: tuple[Grant, ...] = ()
    founders: tuple[bytes, ...] = ()


def make_market_genesis(genesis: Genesis) -> MarketGenesis:
    """The market of a network."""
    founders = tuple(
        compute_author_id(profile.ed25519_key, profile.mldsa65_key) for profile in genesis.founders
    )
    return MarketGenesis(compute_network_id(genesis), genesis.suite, genesis.grants, founders)


def check_genesis(genesis: MarketGenesis) -> None:
    """Raises `Refused` for a start that no market can have."""
    accounts = [grant.account for grant in genesis.grants]
    if any(len(name) != ID_BYTES for name in (genesis.network, *accounts)):
        raise Refused(Code.OUT_OF_RANGE, f"networks and accounts are named by {ID_BYTES} bytes")
    if len(dict.fromkeys(accounts)) != len(accounts):
        raise Refused(Code.ALREADY_DONE, "an account is granted money once")
    amounts = [grant.amount for grant in genesis.grants]
    if any(amount < 1 for amount in amounts) or sum(amounts) > SUPPLY_MAX:
        raise Refused(Code.OUT_OF_RANGE, f"grants are positive and at most {SUPPLY_MAX} together")
