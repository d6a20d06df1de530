"""What a vertex's present parents must be; the rules that its own bytes cannot show."""

from __future__ import annotations

from typing import Final

from dag.errors import InvalidVertex
from dag.index import Entry, Index
from dag.types import LANE_BLOCKS, LANE_SPEECH
from dag.vertex import Vertex

_MESSAGES: Final = {
    "parent-lamport": "a parent's lamport is not its own",
    "lane-reference": "lane 0 references lane 0 only",
    "own-previous": "the first parent is not the predecessor",
}


def check_parents(index: Index, vertex: Vertex) -> None:
    """Check a vertex against its present parents. Raises `InvalidVertex`.

    Those at or below the horizon count as present, and others may not hold them any more, so
    nothing is asked of them.
    """
    broken, highest, lane = "", 0, LANE_SPEECH
    block_count = index.count_block_parents(vertex)
    for place, ref in enumerate(vertex.parents):
        parent = index.get(ref.id)
        is_block = place < block_count
        if parent is None or index.is_old(ref, is_block):
            continue
        if parent.ref.lamport != ref.lamport:
            rule = "parent-lamport"
        elif vertex.lane == LANE_SPEECH and parent.lane != LANE_SPEECH:
            rule = "lane-reference"
        elif place == 0 and vertex.seq > 0 and not _precedes(parent, vertex):
            rule = "own-previous"
        else:
            continue
        if ref.lamport > highest:  # what most of those who pass it on have looked at
            broken, highest, lane = rule, ref.lamport, LANE_BLOCKS if is_block else LANE_SPEECH
    if broken:
        raise InvalidVertex(broken, _MESSAGES[broken], (highest, lane))


def _precedes(entry: Entry, vertex: Vertex) -> bool:
    """Whether an entry holds the slot before a vertex's."""
    return entry.slot == (vertex.author, vertex.lane, vertex.seq - 1)
