"""Two parties of a sealed stream, with seeds instead of randomness."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from dag.kem import Encapsulated, get_kem
from meshnode.sealed.handshake import Accept, Asking, Binding, StreamKeys, accept_open
from meshnode.sealed.keys import SealingKeys, SealingSecrets
from meshnode.sealed.ring import KeyRing, make_ring


def draw(name: str, size: int = 32) -> bytes:
    """Bytes that follow from a name."""
    return hashlib.shake_256(name.encode()).digest(size)


def make_secrets(name: str) -> SealingSecrets:
    return SealingSecrets(draw(f"{name} x25519"), draw(f"{name} mlkem768", 64))


@dataclass(frozen=True)
class Party:
    """One side, with a ring of one pair."""

    name: str

    @cached_property
    def ring(self) -> KeyRing:
        return make_ring(make_secrets(self.name), 1)

    @property
    def keys(self) -> SealingKeys:
        keys = self.ring.current_keys
        assert keys is not None
        return keys

    @property
    def author(self) -> bytes:
        return draw(f"{self.name} author")


ALICE = Party("alice")
BOB = Party("bob")
EVE = Party("eve")


def bind(asker: Party = ALICE, server: Party = BOB, **fields: object) -> Binding:
    """What both sides of a stream know."""
    known = {
        "network": draw("network"),
        "asker": asker.author,
        "server": server.author,
        "asker_transport": f"12D3{asker.name}",
        "server_transport": f"12D3{server.name}",
        "session": draw("session", 64),
        **fields,
    }
    return Binding(**known)  # type: ignore[arg-type]


def begin(
    binding: Binding | None = None,
    *,
    asker: Party = ALICE,
    server: Party = BOB,
    number: int = 1,
    seed: str = "e",
    encapsulated: Encapsulated | None = None,
) -> Asking:
    """The asking side's part."""
    return Asking(
        binding or bind(),
        ring=asker.ring,
        server=server.keys,
        version=1,
        number=number,
        seed=draw(seed),
        encapsulated=encapsulated,
    )


def accept(
    asking: Asking,
    binding: Binding | None = None,
    *,
    asker: Party = ALICE,
    server: Party = BOB,
    encapsulated: Encapsulated | None = None,
) -> tuple[Accept, StreamKeys]:
    """The serving side's part."""
    return accept_open(
        binding or bind(),
        asking.open,
        own=server.ring.current.secrets,
        own_keys=server.keys,
        asker=asker.keys,
        seed=draw("f"),
        encapsulated=encapsulated,
    )


def encapsulate_to(party: Party) -> Encapsulated:
    return get_kem().encapsulate(party.keys.mlkem768_key)
