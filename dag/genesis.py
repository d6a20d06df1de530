"""The genesis: what a network is, fixed for ever by its digest, the network id."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from dag.bodies import Profile
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import MalformedMessage
from dag.types import COUNTER_MAX, ID_BYTES, NetworkId

Suite = Literal["hybrid", "ed25519"]
"""'hybrid': Ed25519 and ML-DSA-65, valid only if both verify. 'ed25519': research only."""
Share = Literal["full", "digest"]
"""Whether result vertices carry the answer, or only its digest."""

GENESIS_DOMAIN: Final = b"meshnode/genesis/1"
GENESIS_BYTES_MAX: Final = 1_000_000
FOUNDERS_MAX: Final = 128
GRANTS_MAX: Final = 1_024
GRANTED_MAX: Final = 2**62
"""All money that can ever be, in micro-ruv: any sum of it fits a signed 64-bit integer."""
NEWCOMERS_MAX: Final = 1_000_000
"""Of what newcomers may do in an hour, and hours of their probation."""
COMMITS_MAX: Final = 1_000_000
"""Of parameters that count commits."""


class Parameters(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Numbers every peer of a network must share."""

    gc_commits: int = 1_000
    """Commits after which unreferenced lane-0 vertices fall below the horizon."""
    future_hold_ms: int = 120_000
    """Vertices stamped further ahead of the local clock are held, not refused."""
    share: Share = "full"
    open: bool = False
    """Whether authors may join without an invitation."""
    profile: Literal["bft3", "bft5", "cft"] = "bft3"
    """The consensus profile of the first epoch."""
    checkpoint_commits: int = 1_000
    """Every so many commits validators also vote for the root of the whole state."""


class Validator(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A member of the first committee."""

    author: bytes
    stake: int


class Grant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Money that an account has from the start, in micro-ruv."""

    account: bytes
    amount: int


class NewcomerLimits(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How fast an open network takes in whoever comes; 0 sets no limit."""

    joins_per_hour: int
    """Authors let in per hour of commit time; more wait for their turn."""
    vertices_per_hour: int
    """What a newcomer may say per hour, of what nobody else stands on."""
    probation_hours: int
    """How long it is a newcomer, unless a member vouches for it: it has no vote until then."""


class Genesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A network's founding record. Founders need no invitation; their keys stand here."""

    version: int
    name: str
    kind: Literal["mesh", "demo"]
    """Demo networks can neither join real ones nor be joined."""
    suite: Suite
    time_ms: int
    nonce: bytes
    """16 random bytes, so that two networks of one name differ."""
    founders: tuple[Profile, ...]
    committee: tuple[Validator, ...]
    parameters: Parameters
    grants: tuple[Grant, ...] = ()
    newcomers: NewcomerLimits | None = None
    """Of an open network; None takes in everybody at once, as a full member."""


def encode_genesis(genesis: Genesis) -> bytes:
    """The canonical bytes of a genesis.

    Without limits for newcomers it has no field for them, and then without grants none for those:
    networks from before there was either keep their names.
    """
    if genesis.newcomers is not None:
        return encode(genesis)
    return encode(msgspec.structs.astuple(genesis)[: -1 if genesis.grants else -2])


_decoder: Final = CanonicalDecoder(
    Genesis, what="genesis", bytes_max=GENESIS_BYTES_MAX, write=encode_genesis
)


def decode_genesis(data: bytes) -> Genesis:
    """Read a genesis. Raises `MalformedMessage` or `MessageTooLarge`."""
    genesis = _decoder.decode(data)
    _validate(genesis)
    return genesis


def compute_network_id(genesis: Genesis) -> NetworkId:
    """Name a network by its genesis."""
    return NetworkId(compute_digest(GENESIS_DOMAIN, encode_genesis(genesis)))


def _validate(genesis: Genesis) -> None:
    if genesis.version != 1:
        raise MalformedMessage(f"genesis version {genesis.version} is not 1")
    if not 1 <= len(genesis.name) <= 64:
        raise MalformedMessage("a network's name has 1 to 64 characters")
    if len(genesis.nonce) != 16:
        raise MalformedMessage("a genesis nonce has 16 bytes")
    if not 1 <= len(genesis.founders) <= FOUNDERS_MAX:
        raise MalformedMessage(f"a genesis names 1 to {FOUNDERS_MAX} founders")
    if not 1 <= len(genesis.committee) <= FOUNDERS_MAX:
        raise MalformedMessage(f"a genesis names 1 to {FOUNDERS_MAX} validators")
    if any(not 1 <= validator.stake <= COUNTER_MAX for validator in genesis.committee):
        raise MalformedMessage("a validator's stake is a positive integer")
    parameters = genesis.parameters
    for name, count in (
        ("gc_commits", parameters.gc_commits),
        ("checkpoint_commits", parameters.checkpoint_commits),
    ):
        if not 1 <= count <= COMMITS_MAX:
            raise MalformedMessage(f"{name} is {count} where 1 to {COMMITS_MAX} commits can be")
    _validate_grants(genesis.grants)
    if genesis.newcomers is not None:
        _validate_newcomers(genesis.newcomers, is_open=parameters.open)


def _validate_newcomers(limits: NewcomerLimits, *, is_open: bool) -> None:
    if not is_open:
        raise MalformedMessage("only an open network has limits for newcomers")
    if any(not 0 <= limit <= NEWCOMERS_MAX for limit in msgspec.structs.astuple(limits)):
        raise MalformedMessage(f"a limit for newcomers is 0 to {NEWCOMERS_MAX}")


def _validate_grants(grants: tuple[Grant, ...]) -> None:
    accounts = [grant.account for grant in grants]
    if len(accounts) > GRANTS_MAX or any(len(account) != ID_BYTES for account in accounts):
        raise MalformedMessage(f"a genesis grants money to at most {GRANTS_MAX} author ids")
    if len(dict.fromkeys(accounts)) != len(accounts):
        raise MalformedMessage("a genesis grants an account money once")
    if any(grant.amount < 1 for grant in grants):
        raise MalformedMessage("a grant of money is positive")
    if sum(grant.amount for grant in grants) > GRANTED_MAX:
        raise MalformedMessage(f"a genesis grants at most {GRANTED_MAX} uruv")
