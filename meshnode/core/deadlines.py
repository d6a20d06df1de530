"""The first of what several parts wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def find_earliest(finders: Iterable[Callable[[], int | None]]) -> int | None:
    """The earliest of several deadlines, None where nobody waits for anything."""
    first_ms: int | None = None
    for find in finders:
        due_ms = find()
        if due_ms is not None and (first_ms is None or due_ms < first_ms):
            first_ms = due_ms
    return first_ms
