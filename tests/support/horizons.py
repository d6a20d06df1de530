"""Horizons for tests that need none in particular."""

from __future__ import annotations

from dag.types import Horizon


def level(lamport: int) -> Horizon:
    """The same lamport in both lanes."""
    return Horizon(lamport, lamport)
