"""Ids, units and limits that every package shares."""

from __future__ import annotations

from typing import Final, NewType

import msgspec

VertexId = NewType("VertexId", bytes)
"""SHA-256 of a vertex's canonical bytes under its domain: 32 bytes."""
AuthorId = NewType("AuthorId", bytes)
"""SHA-256 of an author's signing keys: 32 bytes."""
NetworkId = NewType("NetworkId", bytes)
"""SHA-256 of a network's genesis: 32 bytes."""
TimeMs = NewType("TimeMs", int)
"""Milliseconds since the Unix epoch."""

ID_BYTES: Final = 32
WIRE_VERSION: Final = 1

LANE_SPEECH: Final = 0
"""What an author says: profiles, results, notes, votes, commands."""
LANE_BLOCKS: Final = 1
"""The blocks of a validator."""
LANES: Final = (LANE_SPEECH, LANE_BLOCKS)

BODY_BYTES_MAX: Final = 16_384
"""Largest body; larger content travels as a blob, or as its digest."""
SPEECH_PARENTS_MAX: Final = 8
BLOCK_PARENTS_MAX: Final = 192
"""Own previous block, one block per other validator (committees end at about 50), 64 heads."""
UNSIGNED_BYTES_MAX: Final = 32_768
"""Largest canonical form of a vertex without its signatures."""
WIRE_BYTES_MAX: Final = 40_000
"""Largest signed vertex; always fits one frame."""
COUNTER_MAX: Final = 2**63 - 1
"""Largest seq, lamport or time: fits a signed 64-bit integer in every language."""


# Neither a reference nor a vertex can be part of a cycle, and a store holds very many: the garbage
# collector, which would walk all of them again and again, is told to leave them out (`gc=False`).
class Ref(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    forbid_unknown_fields=True,
    order=True,
    gc=False,
):
    """A parent reference; sorts by (lamport, id), which is a topological order."""

    lamport: int
    id: bytes


class Horizon(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Lamports, by lane, at or below which references count as present and history may go."""

    speech: int = 0
    blocks: int = 0

    @property
    def lowest(self) -> int:
        """What lies at or below it lies below the horizon in either lane."""
        return min(self.speech, self.blocks)

    @property
    def highest(self) -> int:
        """What lies above it lies above the horizon in either lane."""
        return max(self.speech, self.blocks)

    def get(self, lane: int) -> int:
        """The lamport of a lane."""
        return self.speech if lane == LANE_SPEECH else self.blocks

    def join(self, other: Horizon) -> Horizon:
        """The higher of both, lane by lane."""
        return Horizon(max(self.speech, other.speech), max(self.blocks, other.blocks))


class Kind:
    """Codes of what a body holds. Unknown codes are carried and ordered as opaque."""

    PROFILE: Final = 0
    BLOCK: Final = 1
    RESULT: Final = 2
    NOTE: Final = 3
    DECISION: Final = 4
    MARKET: Final = 5
    RECEIPT: Final = 6
    EVIDENCE: Final = 7
    MEMBERSHIP: Final = 8


KIND_NAMES: Final = {
    Kind.PROFILE: "profile",
    Kind.BLOCK: "block",
    Kind.RESULT: "result",
    Kind.NOTE: "note",
    Kind.DECISION: "decision",
    Kind.MARKET: "market",
    Kind.RECEIPT: "receipt",
    Kind.EVIDENCE: "evidence",
    Kind.MEMBERSHIP: "membership",
}


def get_kind_name(kind: int) -> str:
    """Name a kind for people; 'opaque-N' for one this version does not know."""
    return KIND_NAMES.get(kind, f"opaque-{kind}")
