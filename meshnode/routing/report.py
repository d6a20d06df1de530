"""What a replica says of itself: its load, its models, its terms. All of it is a claim."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOffer:
    """One model a replica serves."""

    id: str
    revision: str = ""
    """Digest or version of the weights; empty where unknown."""
    context_tokens: int = 0
    """Longest context; 0 where unknown, which no query is turned away for."""
    tools: bool = False
    """Whether tool calls can be relied on."""
    thinking: bool = False
    """Whether it reasons before it answers when asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One load report; a later one replaces it whole."""

    sequence: int
    """Grows by at least one with each report of an incarnation."""
    incarnation: int = 0
    """Grows with each start of the replica; older incarnations are ghosts."""
    models: tuple[ModelOffer, ...] = ()
    """The preferred one first."""
    slots: int = 1
    """Requests that run at once."""
    running: int = 0
    queued: int = 0
    queued_prefill_tokens: int = 0
    """Prompt tokens not in a cache of requests that have no token yet, running or queued."""
    kv_usage_bp: int = 0
    """Use of the key-value cache in basis points."""
    draining: bool = False
    """Whether it takes no more requests."""
    shareable: bool = True
    """Whether it may serve somebody else than its owner."""
    quota_domain: str = ""
    """Replicas of one domain share their limits; empty stands for the replica alone."""
    prefill_ns: int = 0
    """Claimed prefill time of a token, a start value only; 0 where unknown."""
    decode_ns: int = 0
    """Claimed time of an output token, a start value only; 0 where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What this node itself knows of a peer, whatever the peer says."""

    id: str
    """Transport id; the own one for the local engine."""
    name: str = ""
    """For people; the id where empty."""
    author: bytes = b""
    """Author id, proved by the connection."""
    local: bool = False
    """Whether it is the own engine."""
    trusted: bool = False
    """Whether this node's owner lets it see private prompts."""
