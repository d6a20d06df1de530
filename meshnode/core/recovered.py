"""What a core starts from: the journal's content, in admission order."""

from __future__ import annotations

from dataclasses import dataclass, field

from dag.vertex import SignedVertex


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Vertices that were admitted before, parents before children, and named values."""

    vertices: tuple[SignedVertex, ...] = ()
    values: dict[str, bytes] = field(default_factory=dict)
    delivered: int | None = None
    """The last commit the application has applied, by its own books; None for the last recorded."""
