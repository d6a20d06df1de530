"""Deterministic people for simulated networks, and the genesis they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from msgspec.structs import replace

from dag.bodies import Profile
from dag.genesis import FOUNDERS_MAX, Genesis, Parameters, Suite, Validator
from dag.identity import compute_author_id, derive_public_keys, make_profile
from dag.keys import PublicKeys, SecretKeys, derive_secret_keys
from dag.types import AuthorId
from meshnode.core.transport_id import compute_transport_id

START_MS = 1_700_000_000_000
"""What hosts' clocks show when virtual time begins."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's name, keys and secrets. Two hosts with one identity are twins."""

    name: str
    author: AuthorId
    secrets: SecretKeys
    keys: PublicKeys
    transport: str
    addresses: tuple[str, ...]

    @property
    def profile(self) -> Profile:
        """What its first vertex says."""
        return make_profile(self.keys, name=self.name, addresses=self.addresses)


@lru_cache(16_384)
def make_identity(master: bytes, name: str, suite: Suite) -> Identity:
    """The identity of a 32-byte master seed."""
    secrets = derive_secret_keys(master)
    keys = derive_public_keys(secrets, suite)
    transport = compute_transport_id(keys.libp2p_key)
    author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
    return Identity(name, author, secrets, keys, transport, (f"/sim/{name}",))


def make_genesis(
    identities: Sequence[Identity],
    suite: Suite,
    *,
    seats: int = FOUNDERS_MAX,
    parameters: Parameters | None = None,
) -> Genesis:
    """A network founded by the first of these people; open where not all can be founders."""
    founders = identities[:FOUNDERS_MAX]
    return Genesis(
        version=1,
        name="simulation",
        kind="mesh",
        suite=suite,
        time_ms=START_MS,
        nonce=bytes(16),
        founders=tuple(identity.profile for identity in founders),
        committee=tuple(Validator(identity.author, 1) for identity in founders[:seats]),
        parameters=replace(parameters or Parameters(), open=len(founders) < len(identities)),
    )
