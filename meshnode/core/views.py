"""What a node shows of itself: immutable, for status pages, tests and checkers."""

from __future__ import annotations

from dataclasses import dataclass

from dag.authors import Author, Fork
from dag.types import Ref
from meshnode.core.link import Link
from meshnode.core.messages import Advert


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerView:
    """A peer that takes part."""

    peer: str
    author: bytes
    name: str
    address: str
    """Of this connection's other end."""
    addresses: tuple[str, ...]
    """Where it says that it can be dialled."""
    inbound: bool
    since_ms: int
    rtt_ms: int | None
    """None until a PING was answered."""
    strikes: int
    advert: Advert | None
    """What it serves, as far as it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node at one moment."""

    author: bytes
    network: bytes
    peers: tuple[PeerView, ...]
    members: tuple[Author, ...]
    vertices: int
    heads: tuple[Ref, ...]
    heads_digest: bytes
    lamport: int
    quarantined: int
    quarantined_bytes: int
    held: int
    """Vertices stamped too far ahead for now."""
    unknown_authors: int
    """Vertices that wait for their author's profile."""
    fetching: int
    offences: dict[str, int]
    forks: tuple[Fork, ...]
    speech: str
    """Whether this node may publish: waiting, catching_up, open, forked."""
    publications_queued: int
    alone: tuple[tuple[str, str], ...] | None
    """The last attempts (address, result) while members are known and none has answered for long."""


def show_peer(link: Link) -> PeerView:
    """A picture of a ready connection."""
    assert link.hello is not None, "a ready peer has said HELLO"
    return PeerView(
        peer=link.peer,
        author=link.author,
        name=link.name,
        address=link.address,
        addresses=link.hello.addresses,
        inbound=link.inbound,
        since_ms=link.since_ms,
        rtt_ms=None if link.rtt_ms < 0 else link.rtt_ms,
        strikes=link.strikes,
        advert=link.advert,
    )
