"""What clients asked, when, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["open", "ok", "failed", "unknown"]
"""Failed is for certain: it never happens. Unknown may have happened, or may yet."""


@dataclass(slots=True)
class Operation:
    """One request of a client."""

    kind: Literal["add", "read"]
    node: str
    begun_ms: int
    value: int = -1
    """What is added."""
    ended_ms: int = -1
    outcome: Outcome = "open"
    values: tuple[int, ...] = ()
    """What was read."""
    is_final: bool = False
    """One of the reads that end a test."""
