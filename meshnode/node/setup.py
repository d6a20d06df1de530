"""From a configuration to who this node is: home folder, identity, network, transport."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dag.genesis import Genesis, NewcomerLimits
from dag.identity import derive_public_keys
from dag.keys import SecretKeys
from market.amounts import URUV_PER_RUV
from meshnode.errors import CommandRejected
from meshnode.home import Home, Identity, Membership, NetworkFolder
from meshnode.joining import join_home
from meshnode.passphrase import PassphraseChoice, choose_passphrase
from meshnode.public_text import check_public_text
from meshnode.sealed.ring import KeyRing
from meshnode.sealed.ring_file import RingFile
from meshnode.ticket import Ticket
from meshnode.transport.peer_id import peer_id_from_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.config import NodeConfig
    from meshnode.secret import Secret
    from meshnode.transport.base import Transport
    from meshnode.transport.memory import MemoryNetwork

NAME_CHARS_MAX: Final = 64


@cache
def get_version() -> str:
    """The installed version of this program."""
    return metadata.version("meshnode")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSetup:
    """Everything that makes a node this node."""

    directory: Path
    """Of its journal and its invitations."""
    genesis: Genesis
    secrets: SecretKeys = field(repr=False)
    name: str
    membership: Membership = field(default_factory=Membership)
    home: Home | None = None
    """None for a node that keeps nothing."""
    key_mode: str | None = None
    ring: KeyRing | None = None
    """Pairs that receive sealed content; None for the one among the secrets."""
    ring_file: RingFile | None = field(default=None, repr=False)
    """Where they are kept, for a node that keeps anything."""


def make_transport(
    hub: MemoryNetwork | None,
    seed: bytes,
    *,
    listen: Sequence[str],
    announce: Sequence[str] = (),
) -> Transport:
    """The transport of the host key made of `seed`: in memory with a hub, else libp2p."""
    if hub is not None:
        from nacl.signing import SigningKey

        from meshnode.transport.memory import MemoryTransport

        key = SigningKey(seed).verify_key.encode()
        return MemoryTransport(hub, peer_id_from_public_key(key))
    from meshnode.transport.libp2p.transport import Libp2pTransport

    return Libp2pTransport(seed, listen=listen, announce=announce)


def open_identity(
    home: Home, config: NodeConfig, passphrase: Secret | None, *, now_ms: int
) -> Identity:
    """Open the home's key store, or make one. Blocks while it derives the key."""
    given = passphrase or config.passphrase
    choice = (
        choose_passphrase(home.key_mode, file=config.passphrase_file, environ={}, prompt=None)
        if given is None
        else PassphraseChoice(given)
    )
    return home.ensure_identity(choice.passphrase, now_ms=now_ms)


def choose_name(home: Home, config: NodeConfig, identity: Identity) -> str:
    """How people call this node: as told now, as told before, or by the start of its key."""
    if len(config.name) > NAME_CHARS_MAX:
        raise CommandRejected(
            f"a node's name has {len(config.name)} characters",
            hint=f"choose one of at most {NAME_CHARS_MAX}",
        )
    check_public_text("the node's name", config.name)
    if config.name:
        home.remember_name(config.name)
        return config.name
    key = derive_public_keys(identity.secrets, "ed25519").ed25519_key
    return home.get_name() or f"node-{key.hex()[:6]}"


OPEN_LIMITS: Final = NewcomerLimits(joins_per_hour=60, vertices_per_hour=60, probation_hours=24)
"""Of an open network: how many come in an hour, what each may say in one, and for how long."""


def found_network(
    home: Home,
    identity: Identity,
    config: NodeConfig,
    *,
    name: str,
    now_ms: int,
    is_open: bool = False,
) -> NetworkFolder:
    """Found the network a fresh home begins with."""
    check_public_text("the network's name", config.network_name)
    return home.create_network(
        identity,
        name=config.network_name or f"{name}-net"[:NAME_CHARS_MAX],
        founder_name=name,
        now_ms=now_ms,
        suite=config.suite,
        share=config.share or "full",
        kind=config.kind,
        mint_uruv=config.mint_ruv * URUV_PER_RUV,
        newcomers=OPEN_LIMITS if is_open else None,
    )


async def join_network(
    home: Home,
    identity: Identity,
    ticket: Ticket,
    *,
    kind: str,
    hub: MemoryNetwork | None,
) -> NetworkFolder:
    """Ask to be let in, and make the ticket's network the current one.

    Raises `CommandRejected`, `TransportError` or `DeadlineExceeded`; nothing has changed then.
    """
    # A key for the occasion: the node's own connects right afterwards, as a member.
    transport = None if hub is None else make_transport(hub, os.urandom(32), listen=())
    return await join_home(home, identity, ticket, kind=kind, transport=transport)
