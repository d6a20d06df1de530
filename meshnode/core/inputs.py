"""Everything that enters the core. Inputs are plain records, so a node's life can be recorded."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from dag.errors import Offence
from dag.vertex import SignedVertex
from meshnode.core.commands import Command
from meshnode.core.messages import (
    Advert,
    Checkpoint,
    Digest,
    Disconnect,
    Get,
    GetLast,
    GetProfiles,
    GetSnapshot,
    Goodbye,
    Graft,
    Heads,
    Hello,
    IHave,
    Neighbour,
    Ping,
    Pong,
    Proof,
    Prune,
    Ranges,
    Shuffle,
    ShuffleReply,
    Snapshot,
)


class Standing(IntEnum):
    """What admission could say of a vertex before the core saw it."""

    VERIFIED = 0
    """Form, shape and both signatures hold."""
    UNKNOWN_AUTHOR = 1
    """Form and shape hold; the author's keys are not known, so nothing was verified."""
    DUPLICATE = 2
    """Its id is stored already; nothing was verified."""
    UNREAD = 3
    """Its sender has pushed too much that was of no use; nothing was verified."""


class Candidate(msgspec.Struct, frozen=True):
    """A vertex that passed admission, and how far."""

    signed: SignedVertex
    standing: Standing


class Vertices(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """A checked PUSH (request 0), ITEMS (its request), or CREDENTIALS (request -1).

    Tagged like the messages of the wire, none of which has this number, so that records of inputs
    decode.
    """

    request: int
    candidates: tuple[Candidate, ...]
    missing: tuple[bytes, ...] = ()
    pruned_commit: int = 0
    last: bool = True


Checked = (
    Hello
    | Proof
    | Goodbye
    | Digest
    | Ping
    | Pong
    | IHave
    | Get
    | GetProfiles
    | GetLast
    | Heads
    | Advert
    | Neighbour
    | Disconnect
    | Shuffle
    | ShuffleReply
    | Graft
    | Prune
    | Ranges
    | Checkpoint
    | GetSnapshot
    | Snapshot
    | Vertices
)
"""A message as the core sees it: within limits, its vertices checked."""


class Received(msgspec.Struct, frozen=True, tag=True):
    """A peer's message passed admission."""

    now_ms: int
    peer: str
    message: Checked


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """Admission or the transport refused a peer's bytes."""

    now_ms: int
    peer: str
    offence: Offence
    detail: str


class Connected(msgspec.Struct, frozen=True, tag=True):
    """A connection to a peer stands."""

    now_ms: int
    peer: str
    inbound: bool
    address: str


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """A connection has ended."""

    now_ms: int
    peer: str
    reason: str


class Submitted(msgspec.Struct, frozen=True, tag=True):
    """The local application wants something done; `token` comes back in the outcome."""

    now_ms: int
    token: int
    command: Command


class Signed(msgspec.Struct, frozen=True, tag=True):
    """A sign job is done."""

    signature: bytes


class Checks(msgspec.Struct, frozen=True, tag=True):
    """A verify job is done: one verdict per item, in order."""

    verdicts: tuple[bool, ...]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """A load job is done: the vertices asked for that are stored, in the order asked."""

    vertices: tuple[SignedVertex, ...]


class DialEnded(msgspec.Struct, frozen=True, tag=True):
    """A dial ended; an empty error means that the connection stands (or stood)."""

    error: str


Outcome = Signed | Checks | Loaded | DialEnded


class Completed(msgspec.Struct, frozen=True, tag=True):
    """The receipt of a `RunJob` or `Dial`; each gets exactly one."""

    now_ms: int
    job: int
    outcome: Outcome


class Ticked(msgspec.Struct, frozen=True, tag=True):
    """Time has passed; runs every due deadline. Early or twice is harmless."""

    now_ms: int


Input = Received | Rejected | Connected | Disconnected | Submitted | Completed | Ticked
