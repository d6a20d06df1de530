"""How far the order has come with each author, and what of its chain it left out for good.

An author's lane-0 vertices are put out in the order of its chain. One that is left out when a later
one is put out lay below the horizon by then: nobody will ever put it out, and its author has to say
it again. Whoever begins from a snapshot has not seen that happen, so the state remembers it.

What is said again names the old vertex as a parent. Those names are remembered as well: a node
restored from an old copy may no longer hold the later vertex, and must not say a payment twice.
Both are bounded, and where a bound is met the old vertex counts as put out: silence is repaired by
whoever waits for an effect, a second payment is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from dag.types import Ref

if TYPE_CHECKING:
    from dag.vertex import SignedVertex

GAPS_MAX: Final = 16
NAMED_MAX: Final = 64


class Gap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Vertices of a chain that were left out, by their seqs."""

    first: int
    last: int
    below: int
    """The lamport of the vertex that was put out after them: all of theirs are lower."""


class LastWord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An author's lane-0 vertex of highest seq that was put out."""

    author: bytes
    seq: int
    ref: Ref
    gaps: tuple[Gap, ...] = ()
    """What was left out before it, ascending; the last ones."""
    named: tuple[bytes, ...] = ()
    """Ids of old vertices that the author has built on since."""


def follow(last: LastWord | None, signed: SignedVertex) -> LastWord:
    """The last word of an author after a vertex of it was put out."""
    vertex = signed.vertex
    if last is not None and vertex.seq <= last.seq:
        return last
    seq, gaps, named = (-1, (), ()) if last is None else (last.seq, last.gaps, last.named)
    if vertex.seq > seq + 1:
        gaps = (*gaps, Gap(seq + 1, vertex.seq - 1, vertex.lamport))[-GAPS_MAX:]
    if gaps:
        named += tuple(ref.id for ref in vertex.parents[1:] if ref.lamport < gaps[-1].below)
    if len(named) > NAMED_MAX:
        gaps, named = (), ()
    return LastWord(vertex.author, vertex.seq, signed.ref, gaps, named)


def is_unordered(last: LastWord | None, seq: int, vertex_id: bytes) -> bool:
    """Whether a vertex at or below the horizon was not put out, and not said again since."""
    if last is None or seq > last.seq:
        return True
    return vertex_id not in last.named and any(gap.first <= seq <= gap.last for gap in last.gaps)
