"""Putting chunks of any fields together to a message: the rules that clients use for themselves.

Texts are joined, numbers and flags are replaced, objects are merged, lists whose entries carry an
`index` are merged by it, other lists are joined.
"""

from __future__ import annotations

from typing import Any, Final

_REPLACED: Final = frozenset({"role", "type", "index", "id", "finish_reason", "name"})
ENTRIES_MAX: Final = 1_024
"""Of a list that is merged by index."""


def merge(target: dict[str, Any], piece: dict[str, Any]) -> None:
    """Add a piece to what has come so far."""
    for name, value in piece.items():
        present = target.get(name)
        if value is None:
            target.setdefault(name, None)
        elif present is None:
            target[name] = _start(value)
        elif isinstance(value, str) and isinstance(present, str):
            target[name] = (value or present) if name in _REPLACED else present + value
        elif isinstance(value, dict) and isinstance(present, dict):
            merge(present, value)
        elif isinstance(value, list) and isinstance(present, list):
            _merge_list(present, value)
        else:
            target[name] = value


def _start(value: Any) -> Any:
    """A copy that later pieces may be added to."""
    if isinstance(value, dict):
        started: dict[str, Any] = {}
        merge(started, value)
        return started
    if isinstance(value, list):
        entries: list[Any] = []
        _merge_list(entries, value)
        return entries
    return value


def _merge_list(target: list[Any], pieces: list[Any]) -> None:
    for piece in pieces:
        index = piece.get("index") if isinstance(piece, dict) else None
        if not isinstance(index, int) or isinstance(index, bool):
            target.append(_start(piece))
            continue
        entry = next((each for each in target if _has_index(each, index)), None)
        if entry is not None:
            merge(entry, piece)
        elif len(target) < ENTRIES_MAX:
            target.append(_start(piece))


def _has_index(entry: Any, index: int) -> bool:
    return isinstance(entry, dict) and entry.get("index") == index
