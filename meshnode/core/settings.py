"""What a node is told at its birth: who it is, which network, and every limit and deadline."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.pacemaker import PacemakerSettings
from dag.genesis import Genesis
from dag.types import LANE_BLOCKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Deadlines and periods, in milliseconds."""

    hello_ms: int = 3_000
    """A connection proves its author within this."""
    ping_ms: int = 5_000
    silent_ms: int = 15_000
    """Nothing heard for this long ends a connection."""
    digest_changed_ms: int = 2_000
    digest_idle_ms: int = 15_000
    unequal_ms: int = 1_000
    """Digests differ this long before HEADS are exchanged; at once on a fresh connection."""
    ihave_flush_ms: int = 200
    pull_after_ms: int = 400
    block_pull_after_ms: int = 100
    """As `pull_after_ms`, for what a block stands on: the round waits for it."""
    get_ms: int = 2_000
    """An answer to GET makes progress within this, or the next holder is asked."""
    last_answer_ms: int = 15_000
    """How long own publications wait at start for anybody to ask about the own last vertex."""
    witness_ms: int = 1_000
    """How long more peers are waited for once one could be asked."""
    dial_first_ms: int = 1_000
    dial_most_ms: int = 60_000
    stable_ms: int = 60_000
    """A connection that stood this long resets its peer's dial back-off."""
    alone_ms: int = 15_000
    neighbour_ms: int = 1_000
    """A peer that dialled says within this that it wants to be a neighbour, and one that was
    refused hangs up within this."""
    refused_ms: int = 60_000
    """A peer that had no place is not asked again before."""
    shuffle_ms: int = 30_000
    cross_check_ms: int = 60_000
    """How often a neighbour is exchanged for a member chosen at random, so that no part of a mesh
    stays among itself."""
    tree_flush_ms: int = 100
    """As `ihave_flush_ms`, above `full_mesh_max`."""
    tree_pull_min_ms: int = 180
    tree_pull_max_ms: int = 280
    """As `pull_after_ms`, above `full_mesh_max`: adapted to how long pushes take, between these."""
    ban_ms: int = 3_600_000

    def get_patience_ms(self, lane: int) -> int:
        """How long what a pushed vertex stands on may take to come by itself."""
        return self.block_pull_after_ms if lane == LANE_BLOCKS else self.pull_after_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Counts and bytes that bound what peers can make a node hold."""

    peers_max: int = 64
    full_mesh_max: int = 16
    """Up to this many members every peer connects to every other; see `meshnode.core.overlay`."""
    outbound_min: int = 4
    """Neighbours a peer has chosen itself, where there are more members than that."""
    inbound_max: int = 6
    """Neighbours that have chosen this peer. As everybody chooses `outbound_min`, a peer has twice
    as many neighbours on average; the rest is room for chance."""
    passive_max: int = 48
    """Members heard of lately, to turn to when a neighbour is lost."""
    group_max: int = 2
    """Neighbours within one public /16 (IPv6: /32) at most."""
    eager_min: int = 3
    """Neighbours to whom vertices are passed on at once, at least."""
    wants_per_peer_max: int = 256
    wants_bytes_max: int = 1_500_000
    gets_per_peer_max: int = 4
    walk_ids_max: int = 131_072
    walk_ids_per_peer_max: int = 2_048
    """Wanted ids that one peer was the first to name: nobody's ids keep another's from being fetched."""
    publications_max: int = 1_024
    """Own vertices waiting for their signature or for the start to end."""
    members_max: int = 4_096
    transfer_lag_checkpoints: int = 2
    """A node that is further behind than so many checkpoints joins from a snapshot."""
    strikes_max: int = 8
    """Light offences before a peer is hung up and banned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a core needs to know; the same settings and inputs give the same effects."""

    genesis: Genesis
    author: bytes
    transport: str
    """Own transport id, as the other side's proof names it."""
    addresses: tuple[str, ...]
    profile: bytes
    """Body of the own profile vertex: published as seq 0, and again when it has changed."""
    inviter: bytes = b""
    """Author id of who invited this node; empty for founders and in open networks."""
    agent: str = "meshnode"
    credentials: tuple[bytes, ...] = ()
    """Signed profile vertices of the inviters, root first, as the ticket carried them."""
    validates: bool = False
    """Whether to make blocks, where the committee names this node's author."""
    prunes: bool = False
    """Whether to delete history below the last certified checkpoint but one; else all is kept."""
    pace: PacemakerSettings = field(default_factory=PacemakerSettings)
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
