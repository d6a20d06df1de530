"""Founds the network of a demo: several homes that are its members and validators from the start.

Everybody has some money from the start. A network that one node founds has one validator, and others become validators by a decision. A
demo has no time for that: its genesis names the first few nodes and where they will be found, as
that of any network may. So they can all start at once.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dag.genesis import Genesis, Grant, Parameters, Validator
from dag.identity import compute_author_id, derive_public_keys, make_profile
from market.amounts import URUV_PER_RUV
from meshnode.config import MINT_RUV_DEFAULT
from meshnode.home import Membership, open_home
from meshnode.transport.peer_id import peer_id_from_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def found_network(folder: Path, names: Sequence[str]) -> None:
    """Make a home with a new identity for each name, all of one network with all as validators."""
    now_ms = int(time.time() * 1_000)
    homes, profiles, validators = [], [], []
    for name, port in zip(names, find_free_ports(len(names)), strict=True):
        home = open_home(folder / name)
        home.remember_name(name)
        home.remember_port(port)
        keys = derive_public_keys(home.ensure_identity(None, now_ms=now_ms).secrets, "hybrid")
        address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id_from_public_key(keys.libp2p_key)}"
        homes.append(home)
        profiles.append(make_profile(keys, name=name, addresses=(address,)))
        validators.append(Validator(compute_author_id(keys.ed25519_key, keys.mldsa65_key), 1))
    genesis = Genesis(
        version=1,
        name="demo",
        kind="demo",
        suite="hybrid",
        time_ms=now_ms,
        nonce=os.urandom(16),
        founders=tuple(profiles),
        committee=tuple(validators),
        parameters=Parameters(),
        grants=tuple(
            Grant(validator.author, MINT_RUV_DEFAULT * URUV_PER_RUV) for validator in validators
        ),
    )
    for home in homes:
        home.add_network(genesis, Membership())


def find_free_ports(count: int) -> list[int]:
    """Different ports of the loopback interface that nobody listens on.

    Somebody else may take one before its node does; that node then finds another for itself, and
    dials the others, who are where they said.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
