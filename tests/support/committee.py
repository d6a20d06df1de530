"""Meshes of real validators: daemons whose homes share one genesis that gives each of them a seat."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dag.genesis import Genesis, Parameters, Suite, Validator
from dag.identity import compute_author_id, derive_public_keys, make_profile
from meshnode.core.transport_id import compute_transport_id
from meshnode.demo.processes import Crew, DemoNode
from meshnode.home import Bootstrap, Home, Membership, open_home


@dataclass(frozen=True)
class Place:
    """Where a validator listens, and where its HTTP interface does."""

    host: str = "127.0.0.1"
    port: int = 0
    api: str = "127.0.0.1:0"

    @property
    def address(self) -> str:
        """Where others dial."""
        return f"/ip4/{self.host}/tcp/{self.port}"


@dataclass(frozen=True)
class Seat:
    """A validator before its first start."""

    name: str
    home: Home
    author: bytes
    place: Place
    prunes: bool = False

    @property
    def flags(self) -> dict[str, Any]:
        """What its process is started with."""
        return {
            "api": self.place.api,
            "api_insecure": not self.place.api.startswith("127."),
            # The port its home remembers, unless somebody has taken that meanwhile.
            "listen": [f"/ip4/{self.place.host}/tcp/0"],
            "engine": "none",
            "validates": True,
            "prune": self.prunes,
        }

    async def start(self, crew: Crew) -> DemoNode:
        """Run it, for the first time or again."""
        return await crew.start(self.name, self.flags)


def make_committee(
    folder: Path,
    places: Sequence[Place],
    *,
    suite: Suite = "hybrid",
    parameters: Parameters | None = None,
    prunes: bool = False,
) -> tuple[Genesis, list[Seat]]:
    """Homes of a mesh in which everybody is a founder, has one vote, and knows the others."""
    now_ms = time.time_ns() // 1_000_000
    homes = [open_home(folder / f"node-{number}", check=False) for number in range(len(places))]
    identities = [home.ensure_identity(None, now_ms=now_ms) for home in homes]
    keys = [derive_public_keys(identity.secrets, suite) for identity in identities]
    authors = [compute_author_id(each.ed25519_key, each.mldsa65_key) for each in keys]
    genesis = Genesis(
        version=1,
        name="campaign",
        kind="mesh",
        suite=suite,
        time_ms=now_ms,
        nonce=os.urandom(16),
        founders=tuple(
            make_profile(each, name=home.path.name) for each, home in zip(keys, homes, strict=True)
        ),
        committee=tuple(Validator(author, 1) for author in authors),
        parameters=parameters or Parameters(),
    )
    places = _choose_ports(places)
    contacts = [
        Bootstrap(compute_transport_id(each.libp2p_key), (place.address,))
        for each, place in zip(keys, places, strict=True)
    ]
    for number, home in enumerate(homes):
        home.remember_port(places[number].port)
        others = tuple(contacts[:number] + contacts[number + 1 :])
        home.add_network(genesis, Membership(bootstrap=others))
    return genesis, [
        Seat(home.path.name, home, author, place, prunes)
        for home, author, place in zip(homes, authors, places, strict=True)
    ]


def _choose_ports(places: Sequence[Place]) -> list[Place]:
    """Give each place without a port one that is free now."""
    probes = [socket.socket() for _ in places]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [
            place if place.port else Place(place.host, probe.getsockname()[1], place.api)
            for place, probe in zip(places, probes, strict=True)
        ]
    finally:
        for probe in probes:
            probe.close()
