"""What a node shows of itself: immutable, for status pages, tests and checkers."""

from __future__ import annotations

import msgspec

from dag.authors import Author, Fork
from dag.index import NOWHERE
from dag.types import Horizon, Ref
from meshnode.core.link import Link
from meshnode.core.messages import Advert


class PeerView(msgspec.Struct, frozen=True, kw_only=True):
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
    advert_ms: int = 0
    """When it last said so."""
    heard_ms: int = 0
    """When anything was last heard of it. What it serves is what it last said until then."""
    session: bytes = b""
    """Names this connection at both ends, and no other: the nonces of both HELLOs, ascending."""


class ValidatorView(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the committee, as its blocks show it."""

    author: bytes
    stake: int
    last_round: int
    """Of its last block held, as far as it is not long ago; 0 for none."""
    is_silent: bool
    """It makes no blocks while the others go on."""
    is_connected: bool
    """It is this node, or a peer that takes part."""


class ConsensusView(msgspec.Struct, frozen=True, kw_only=True):
    """The agreed order as a node sees it, and its own part in it."""

    epoch: int
    profile: str
    """Of the committee: bft3, bft5 or cft."""
    round: int
    """The highest with a block; it rests while nothing is said."""
    decided_round: int
    """Up to here every leader is decided."""
    commit_index: int
    commit_digest: bytes
    """Equal on two nodes at equal index: they agree on everything so far."""
    commit_time_ms: int
    behind: int
    """How much higher the lamports of most peers are; about the rounds that have yet to come."""
    quorum: int
    """Stake that decides."""
    waiting: int
    """Lane-0 vertices that no commit has put out yet."""
    inert: int
    """Lane-1 vertices that break a rule."""
    conflicts: int = 0
    """Votes that contradict an earlier one of their author: it lies, or its state is broken."""
    halted: str
    """Why nothing is ordered any more; empty while all is well."""
    standing: str
    """Own part: follower, recovering, no_quorum, active, stopped."""
    own_round: int
    certified_commit: int = 0
    """The newest commit for whose state a quorum stands; 0 before the first."""
    pruned: Horizon = NOWHERE
    """History up to here is not held; 0 where all of it is."""
    validators: tuple[ValidatorView, ...]


class NodeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A node at one moment in a few figures: cheap enough to be looked at on every input."""

    vertices: int
    heads_digest: bytes
    lamport: int
    ready: int
    """How many peers take part."""
    quarantined: int
    quarantined_bytes: int
    held: int
    """Vertices stamped too far ahead for now."""
    unknown_authors: int
    """Vertices that wait for their author's profile."""
    fetching: int
    forks: tuple[Fork, ...]
    speech: str
    """Whether this node may publish: waiting, catching_up, open, forked."""
    publications_queued: int
    commit_index: int
    unordered: int
    """Lane-0 vertices that no commit has put out yet."""


class NodeView(NodeSummary, frozen=True, kw_only=True):
    """A node at one moment."""

    author: bytes
    network: bytes
    peers: tuple[PeerView, ...]
    members: tuple[Author, ...]
    heads: tuple[Ref, ...]
    offences: dict[str, int]
    alone: tuple[tuple[str, str], ...] | None
    """The last attempts (address, result) while members are known and none has answered for long."""
    consensus: ConsensusView
    refusal: str = ""
    """Why this node is no member any more, by its own order or as peers say; empty while it is."""
    repeats: dict[bytes, bytes]
    """By which vertex each own one that came too late for the order was said again; the last."""


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
        advert_ms=link.advert_ms,
        heard_ms=link.heard_ms,
        session=b"".join(sorted((link.nonce, link.hello.nonce))),
    )
