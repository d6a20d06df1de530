"""What a node tells its application while it runs, as immutable records that travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from meshnode.views import ModelView, VertexInfo, View, read_type


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexSeen(View):
    """A vertex is in the store."""

    type: Literal["vertex_seen"] = "vertex_seen"
    vertex: VertexInfo
    own: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJoined(View):
    """A peer proved who it is and takes part."""

    type: Literal["peer_joined"] = "peer_joined"
    peer: str
    author: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLeft(View):
    """A peer that took part is gone."""

    type: Literal["peer_left"] = "peer_left"
    peer: str
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedByPeer(View):
    """A peer does not let this node take part, and says why."""

    type: Literal["refused_by_peer"] = "refused_by_peer"
    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberOut(View):
    """By the order an author is no member any more, or was not let in."""

    type: Literal["member_out"] = "member_out"
    author: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerServing(View):
    """A peer says anew what it serves."""

    type: Literal["peer_serving"] = "peer_serving"
    peer: str
    author: str
    models: tuple[ModelView, ...]
    slots: int
    running: int
    queued: int
    draining: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkFound(View):
    """An author signed two vertices for one place in its chain."""

    type: Literal["fork_found"] = "fork_found"
    author: str
    lane: int
    seq: int
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OffenceCounted(View):
    """A peer broke a rule."""

    type: Literal["offence_counted"] = "offence_counted"
    peer: str
    offence: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPeers(View):
    """No peer for a while although some are known."""

    type: Literal["no_peers"] = "no_peers"
    tried: tuple[tuple[str, str], ...]
    """(address, result) of the last attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerticesOrdered(View):
    """The mesh has agreed on the next step of the order: these vertices are final."""

    type: Literal["vertices_ordered"] = "vertices_ordered"
    commit_index: int
    commit_digest: str
    time_ms: int
    """On which the validators agree."""
    vertices: tuple[str, ...]
    """Ids of what was said, in order; empty where a step holds blocks only."""
    leader: str = ""
    """Id of the block that led."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitteeChanged(View):
    """Other validators decide from now on, as the mesh has voted."""

    type: Literal["committee_changed"] = "committee_changed"
    epoch: int
    commit_index: int
    """The last commit of the committee before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStopped(View):
    """More validators lie than the committee bears: nothing is put in order here any more."""

    type: Literal["order_stopped"] = "order_stopped"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderJoined(View):
    """Commits up to this one are not told here: this node joined from a snapshot, or has pruned."""

    type: Literal["order_joined"] = "order_joined"
    commit_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexRepeated(View):
    """What an own vertex said got no place in the order while this node was cut off; said again."""

    type: Literal["vertex_repeated"] = "vertex_repeated"
    first: str
    """Id of the vertex that is never put in order."""
    again: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(View):
    """The reader of events fell behind and some were dropped; what is stored is complete."""

    type: Literal["events_lost"] = "events_lost"


NodeEvent = (
    VertexSeen
    | PeerJoined
    | PeerLeft
    | RefusedByPeer
    | MemberOut
    | PeerServing
    | ForkFound
    | OffenceCounted
    | NoPeers
    | VerticesOrdered
    | CommitteeChanged
    | OrderStopped
    | OrderJoined
    | VertexRepeated
    | EventsLost
)
"""What a node tells its application while it runs."""

_EVENTS: dict[str, type[NodeEvent]] = {
    "vertex_seen": VertexSeen,
    "peer_joined": PeerJoined,
    "peer_left": PeerLeft,
    "refused_by_peer": RefusedByPeer,
    "member_out": MemberOut,
    "peer_serving": PeerServing,
    "fork_found": ForkFound,
    "offence_counted": OffenceCounted,
    "no_peers": NoPeers,
    "vertices_ordered": VerticesOrdered,
    "committee_changed": CommitteeChanged,
    "order_stopped": OrderStopped,
    "order_joined": OrderJoined,
    "vertex_repeated": VertexRepeated,
    "events_lost": EventsLost,
}

EVENT_VIEWS = tuple(_EVENTS.values())
"""Every kind of event."""


def read_event(data: object) -> NodeEvent:
    """The event an object stands for. Raises `MalformedMessage`."""
    return _EVENTS[read_type(data, _EVENTS)].from_json(data)
