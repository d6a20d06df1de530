"""Which blobs go when there is no room for another: never those that somebody counts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One blob, or a part of one, as it takes room."""

    id: bytes
    size_bytes: int
    """What it takes; of a part what the whole will take."""
    used_ms: int
    """When it was last read, or when it came."""
    is_kept: bool
    """Whether it is pinned, referenced by own vertices, or being fetched right now."""
    is_partial: bool = False


def choose_evictions(
    holdings: Iterable[Holding], *, size_bytes: int, quota_bytes: int
) -> list[bytes] | None:
    """What has to go so that `size_bytes` more fit into the quota; None where it cannot be done.

    Broken-off fetches go first, then what was not used for the longest time. Nothing goes where
    all that may go is not enough.
    """
    held = list(holdings)
    excess = sum(holding.size_bytes for holding in held) + size_bytes - quota_bytes
    free = sorted(
        (holding for holding in held if not holding.is_kept),
        key=lambda holding: (not holding.is_partial, holding.used_ms, holding.id),
    )
    chosen: list[bytes] = []
    for holding in free:
        if excess <= 0:
            break
        chosen.append(holding.id)
        excess -= holding.size_bytes
    return chosen if excess <= 0 else None
