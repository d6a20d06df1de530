"""What a node seals, as its status shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingInfo:
    """What a node seals beneath the transport's encryption, since its start."""

    key: str | None
    """Id of the pair in its profile; null where no library here can use it."""
    made_ms: int
    older_keys: int
    """Pairs before it that still open what is sealed to them."""
    asked: int
    """Streams to peers that were sealed, questions and probes alike."""
    answered: int
    """Streams of peers that were."""
    refused: int
    """Streams of peers in the open, sealed to a pair that is erased, or repeated."""
