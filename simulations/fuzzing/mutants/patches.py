"""What a seeded bug is made of: attributes, and what they are replaced by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Make = Callable[[Any], Any]
"""Makes the wrong attribute from the right one."""
Patch = tuple[Any, str, Make]
"""Whose attribute, which, and how it is made wrong."""
Evidence = Literal["run", "repetition", "order", "market"]
"""What shows a bug: one run, two of the same spec in processes that hash differently, a run of a
committee alone (`simulations.consensus`), or of markets alone (`simulations.folding`)."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug."""

    name: str
    says: str
    """What it breaks, in 30 characters."""
    patches: tuple[Patch, ...]
    shown_by: Evidence = "run"


def answer(value: object) -> Make:
    """Replace a method by one that does nothing and answers this."""

    def make(_right: Any) -> Any:
        return lambda *_arguments, **_named: value

    return make


def hide(value: object) -> Make:
    """Replace a property by a constant."""

    def make(_right: Any) -> Any:
        return property(lambda _self: value)

    return make


def never(owner: Any) -> tuple[Patch, Patch]:
    """Keep a collaborator from doing what is due, and from being woken for it."""
    return ((owner, "tick", answer(None)), (owner, "next_deadline", answer(None)))
