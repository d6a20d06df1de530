"""What was tried to find others and to be found, and what came of it, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WayState = Literal["ok", "fail", "unknown", "info"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way, as it stands."""

    name: str
    state: WayState
    """'unknown' where nobody could tell yet."""
    detail: str
    fix: str = ""
    """What to do next, where it failed."""
