"""Colours and letters of the kinds; the colours differ in lightness too, for eyes and printers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Mark(NamedTuple):
    """How a kind is drawn."""

    colour: str
    letter: str


_MARKS: Final = {
    "profile": Mark("#7a8699", "P"),
    "block": Mark("#2b3a55", "B"),
    "result": Mark("#2f9e6e", "R"),
    "note": Mark("#e0a526", "N"),
    "decision": Mark("#8057c2", "D"),
    "market": Mark("#2a7fd4", "M"),
    "receipt": Mark("#5bb8c9", "C"),
    "evidence": Mark("#cf3f4f", "E"),
}
_COMMITS: Final = ("#ffe2a8", "#bfe8d4", "#cfdcff", "#f6c9d0", "#dccdf5")
_OTHER: Final = Mark("#b9bec7", "?")


def sort_kinds(kinds: Iterable[str]) -> list[str]:
    """Each kind once, in the order of their codes; unknown ones last."""
    order = list(_MARKS)
    return sorted(dict.fromkeys(kinds), key=lambda kind: (_index(order, kind), kind))


def _index(order: list[str], kind: str) -> int:
    return order.index(kind) if kind in order else len(order)


def get_mark(kind: str) -> Mark:
    """The mark of a kind, known or not."""
    return _MARKS.get(kind, _OTHER)


def get_commit_colour(index: int) -> str:
    """A light colour for a commit, another one for each of its neighbours."""
    return _COMMITS[index % len(_COMMITS)]
