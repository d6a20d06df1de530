"""Whom a question goes to: the own engine, or one peer."""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.routing.decision import Candidate
from meshnode.routing.query import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One replica that was chosen for a question."""

    peer: str
    """Transport id; the own one for the local engine."""
    author: bytes
    name: str
    model: str
    """The model to ask for there."""
    engine: str = ""
    """Name of what runs the model, for people."""
    local: bool = False
    shareable: bool = True
    """Whether the engine may serve others than its owner."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A target, and what the router is told of how it does there."""

    target: Target
    query: Query
    candidate: Candidate | None
    """None for a peer that the router does not know."""
