"""What an attacker knows: the node's address, the network's genesis, and a ticket it was given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from dag.bodies import SIGNED_INVITATION_DECODER, Note, SignedInvitation
from dag.canonical import encode
from dag.crypto import sign_suite
from dag.genesis import Genesis, Suite, compute_network_id
from dag.identity import (
    compute_author_id,
    derive_public_keys,
    make_profile,
    prove_bearer,
    sign_vertex,
)
from dag.keys import SecretKeys, derive_secret_keys
from dag.types import LANE_SPEECH, WIRE_VERSION, Kind, Ref
from dag.vertex import (
    SignedVertex,
    Vertex,
    compute_signed_message,
    compute_vertex_id,
    decode_signed,
    seal,
)
from meshnode.joining import request_admission
from meshnode.ticket import decode_ticket
from meshnode.transport.libp2p.transport import Libp2pTransport


@dataclass(frozen=True)
class Member:
    """An identity the network has let in, and its first vertex."""

    author: bytes
    secrets: SecretKeys
    profile: SignedVertex

    def say(
        self, suite: Suite, *, text: bytes = b"x", seq: int = 1, **changes: object
    ) -> SignedVertex:
        """A signed note of this member, over its own profile; `changes` may break any rule."""
        parent = self.profile.ref
        fields: dict[str, object] = {
            "version": WIRE_VERSION,
            "network": self.profile.vertex.network,
            "author": self.author,
            "lane": LANE_SPEECH,
            "seq": seq,
            "lamport": parent.lamport + 1,
            "kind": Kind.NOTE,
            "time_ms": self.profile.vertex.time_ms,
            "parents": (parent,),
            "body": encode(Note("text/plain", "", text)),
        }
        vertex = Vertex(**{**fields, **changes})  # type: ignore[arg-type]
        message = compute_signed_message(compute_vertex_id(vertex))
        return seal(encode(vertex), sign_suite(suite, self.secrets, message))


@dataclass(frozen=True)
class World:
    """A node to attack."""

    addresses: tuple[str, ...]
    peer: str
    genesis: Genesis
    credentials: tuple[bytes, ...]
    """Profiles from a founder down to the node, which are public among members."""
    bearer_seed: bytes
    invitation: SignedInvitation

    @property
    def network(self) -> bytes:
        """Id of the node's network."""
        return compute_network_id(self.genesis)

    @property
    def suite(self) -> Suite:
        """Its signatures."""
        return self.genesis.suite

    def make_member(self, seed: bytes) -> Member:
        """One more member; a ticket's holder makes as many identities as it has uses."""
        secrets = derive_secret_keys(seed)
        # Without a key for sealed content, so that its questions in the open are looked at.
        keys = msgspec.structs.replace(derive_public_keys(secrets, self.suite), mlkem768_key=b"")
        author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
        proved = prove_bearer(self.bearer_seed, self.network, author, self.invitation)
        inviter: Ref = decode_signed(self.credentials[-1]).ref
        profile = Vertex(
            version=WIRE_VERSION,
            network=self.network,
            author=author,
            lane=LANE_SPEECH,
            seq=0,
            lamport=inviter.lamport + 1,
            kind=Kind.PROFILE,
            time_ms=self.genesis.time_ms,
            parents=(inviter,),
            body=encode(make_profile(keys, name="mallory", invitation=encode(proved))),
        )
        return Member(author, secrets, sign_vertex(secrets, self.suite, profile))


async def enter(ticket_text: str, addresses: Sequence[str]) -> World:
    """Be let in by the node, as anybody with a ticket is."""
    ticket = decode_ticket(ticket_text)
    keys = derive_public_keys(derive_secret_keys(os.urandom(32)), ticket.suite)
    author = compute_author_id(keys.ed25519_key, keys.mldsa65_key)
    admitted = await request_admission(Libp2pTransport(os.urandom(32)), ticket, author)
    return World(
        addresses=tuple(addresses),
        peer=ticket.peer,
        genesis=admitted.genesis,
        credentials=admitted.credentials,
        bearer_seed=ticket.bearer_seed,
        invitation=SIGNED_INVITATION_DECODER.decode(admitted.invitation),
    )
