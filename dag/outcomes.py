"""What becomes of a vertex that is offered to the intake."""

from __future__ import annotations

import msgspec

from dag.authors import Fork
from dag.errors import InvalidVertex
from dag.identity import VerifiedVertex
from dag.types import Ref


class Admitted(msgspec.Struct, frozen=True):
    """Vertices that entered, parents before children: what was offered and what waited for it."""

    vertices: tuple[VerifiedVertex, ...]
    forks: tuple[Fork, ...] = ()
    """Authors found out by these vertices; the evidence is the caller's to publish."""


class Quarantined(msgspec.Struct, frozen=True):
    """Parents are missing; `missing` lists those that nothing here holds, to be asked for."""

    missing: tuple[Ref, ...]
    member: bytes | None = None
    """The committee member whose block needs it: then it must be fetched."""


class Held(msgspec.Struct, frozen=True):
    """Stamped ahead of the local clock; offered again by `expire` when its time has come."""

    until_ms: int


class Duplicate(msgspec.Struct, frozen=True):
    """Stored already."""


class BelowHorizon(msgspec.Struct, frozen=True):
    """Too old to be ordered any more; its author publishes again."""


class UnknownAuthor(msgspec.Struct, frozen=True):
    """A first profile has not been admitted that this needs; offer it again afterwards."""

    author: bytes
    """Whose: the vertex's own author, or who invited it."""


class Refused(msgspec.Struct, frozen=True):
    """Not taken, and nobody's offence; `reason` names the bound that was met."""

    reason: str
    """'far-future', 'hold-full', 'kept-out', 'quarantine-full' or 'surplus-fork'."""


Outcome = Admitted | Quarantined | Held | Duplicate | BelowHorizon | UnknownAuthor | Refused


class Rejected(msgspec.Struct, frozen=True):
    """A vertex that had waited and turned out invalid, or waited for one that did."""

    id: bytes
    sources: tuple[str, ...]
    """The peers that sent it: each is charged, for a correct peer forwards what it admitted."""
    error: InvalidVertex
