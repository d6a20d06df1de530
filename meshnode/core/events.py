"""Facts the core tells the application, in the past tense."""

from __future__ import annotations

import msgspec

from dag.errors import Offence
from dag.order import Commit
from dag.vertex import SignedVertex
from meshnode.core.market_steps import MarketStep
from meshnode.core.messages import ModelAdvert


class Published(msgspec.Struct, frozen=True, tag=True):
    """An own vertex is durable; `token` is the command's."""

    token: int
    signed: SignedVertex


class PublishFailed(msgspec.Struct, frozen=True, tag=True):
    """A publication that was accepted cannot be carried out any more."""

    token: int
    reason: str


class VertexAdmitted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A vertex is in the store and durable (own ones too)."""

    signed: SignedVertex
    source: str
    """The peer that sent it; empty for own vertices."""


class PeerReady(msgspec.Struct, frozen=True, tag=True):
    """A peer proved who it is; from now on it takes part."""

    peer: str
    author: bytes
    name: str


class PeerLost(msgspec.Struct, frozen=True, tag=True):
    """A peer that was ready is gone."""

    peer: str
    author: bytes
    reason: str


class PeerRefused(msgspec.Struct, frozen=True, tag=True):
    """A peer ended the handshake, and said why: this node does not take part there."""

    peer: str
    reason: str


class MembershipEnded(msgspec.Struct, frozen=True, tag=True):
    """By the order an author is no member any more, or was not let in; told again after a start."""

    author: bytes
    reason: str


class PeerServes(msgspec.Struct, frozen=True, tag=True):
    """A peer's newest advert."""

    peer: str
    author: bytes
    models: tuple[ModelAdvert, ...]
    slots: int
    running: int
    queued: int
    draining: bool


class ForkSeen(msgspec.Struct, frozen=True, tag=True):
    """An author signed two vertices for one slot."""

    author: bytes
    lane: int
    seq: int
    first: bytes
    second: bytes


class OffenceSeen(msgspec.Struct, frozen=True, tag=True):
    """A peer broke a rule."""

    peer: str
    offence: Offence
    detail: str


class Alone(msgspec.Struct, frozen=True, tag=True):
    """No peer for 15 s although some are known: what was tried, and how each attempt ended."""

    tried: tuple[tuple[str, str], ...]
    """(address, result) of the last attempts."""


class Committed(msgspec.Struct, frozen=True, tag=True):
    """The mesh has agreed on the next step of the order. Commits come in order, each once."""

    commit: Commit
    said: int = 0
    """So many of its vertices are lane 0, and come first; blocks follow."""
    market: MarketStep | None = None
    """What it did to the market, if anything."""


class Repeated(msgspec.Struct, frozen=True, tag=True):
    """What an own vertex said got no place in the order in time, so it was said again."""

    first: bytes
    signed: SignedVertex


class EpochBegan(msgspec.Struct, frozen=True, tag=True):
    """Another committee decides from now on; `commit_index` was the last commit before."""

    epoch: int
    commit_index: int


class OrderResumed(msgspec.Struct, frozen=True, tag=True):
    """This node goes on from a certified snapshot: commits up to this index are not told.

    Told once more after a restart, until a later commit has been told.
    """

    index: int


class OrderHalted(msgspec.Struct, frozen=True, tag=True):
    """More validators lie than the committee bears, or this node's own state cannot be trusted.

    It orders nothing any more.
    """

    reason: str


Event = (
    Published
    | PublishFailed
    | VertexAdmitted
    | PeerReady
    | PeerLost
    | PeerRefused
    | MembershipEnded
    | PeerServes
    | ForkSeen
    | OffenceSeen
    | Alone
    | Committed
    | EpochBegan
    | Repeated
    | OrderHalted
    | OrderResumed
)
