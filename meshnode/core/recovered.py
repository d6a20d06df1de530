"""What a core starts from: the journal's content, in admission order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from consensus.block import CommitVote
from consensus.checkpoint import SnapshotHeader, compute_root, decode_header
from consensus.commits import CommitHead
from dag.canonical import CanonicalDecoder, encode
from dag.errors import MalformedMessage
from dag.index import NOWHERE
from dag.types import LANE_SPEECH, Horizon
from dag.vertex import SignedVertex
from meshnode.core.checkpointing import Checkpoint

HEAD_KEY: Final = "commit-head"
HEAD_BYTES_MAX: Final = 256
HEAD_DECODER: Final = CanonicalDecoder(CommitHead, what="commit head", bytes_max=HEAD_BYTES_MAX)
CHAIN_BYTES_MAX: Final = 16_777_216
PRUNED_KEY: Final = "pruned"
"""The value that tells up to where history was deleted: an encoded `Horizon`."""
PRUNED_BYTES_MAX: Final = 64


class Certified(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A snapshot's header, and the signed blocks that vote for it."""

    header: bytes
    blocks: tuple[bytes, ...]


class StoredSnapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state after a certified commit, with what proves it."""

    index: int
    chain: bytes
    """`encode_chain` of the last header of every epoch so far, and of this one."""
    parts: tuple[bytes, ...]
    """In the order of the header."""


_chain_decoder: Final = CanonicalDecoder(
    tuple[Certified, ...], what="chain of snapshot headers", bytes_max=CHAIN_BYTES_MAX
)


_pruned_decoder: Final = CanonicalDecoder(
    Horizon, what="record of what was deleted", bytes_max=PRUNED_BYTES_MAX
)


def encode_chain(chain: Sequence[Certified]) -> bytes:
    """The canonical bytes of certified headers, the oldest first."""
    return encode(tuple(chain))


def decode_chain(data: bytes) -> tuple[Certified, ...]:
    """Read certified headers. Raises `MalformedMessage` or `MessageTooLarge`."""
    chain = _chain_decoder.decode(data)
    if not chain:
        raise MalformedMessage("a chain of snapshot headers has at least one")
    return chain


def decode_pruned(record: bytes) -> Horizon:
    """Read the value of `PRUNED_KEY`; nothing for none. Raises `InvalidMessage` if damaged."""
    return _pruned_decoder.decode(record) if record else NOWHERE


def read_header(snapshot: StoredSnapshot) -> SnapshotHeader:
    """The header of a stored snapshot. Raises `InvalidMessage` for one that is damaged."""
    return decode_header(decode_chain(snapshot.chain)[-1].header)


def read_checkpoint(snapshot: StoredSnapshot) -> Checkpoint:
    """A stored snapshot as what a replica begins from. Raises `InvalidMessage` if damaged."""
    header = read_header(snapshot)
    vote = CommitVote(header.index, header.commit_digest, compute_root(header))
    return Checkpoint(header, snapshot.parts, vote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Vertices that were admitted before, parents before children, and named values."""

    vertices: tuple[SignedVertex, ...] = ()
    values: dict[str, bytes] = field(default_factory=dict)
    delivered: int | None = None
    """The last commit the application has applied, by its own books; None for the last recorded."""
    snapshots: tuple[StoredSnapshot, ...] = ()
    """The last certified ones, at most two, the older first: an application that has not applied
    the newest goes on from the one before."""

    def choose_start(self) -> Checkpoint | None:
        """Where the order begins: the newest snapshot behind which nothing has to be told again.

        None for genesis, which a store from which nothing was pruned can always begin from.
        """
        usable = [item for item in self.snapshots if item.index <= self._get_told()]
        if usable:
            return read_checkpoint(usable[-1])
        if self.snapshots and self.values.get(PRUNED_KEY):
            return read_checkpoint(self.snapshots[0])
        return None

    def _get_told(self) -> int:
        if self.delivered is not None:
            return self.delivered
        record = self.values.get(HEAD_KEY, b"")
        return HEAD_DECODER.decode(record).index if record else 0

    def find_horizon(self) -> Horizon:
        """The lamports at or below which references count as present."""
        return read_header(self.snapshots[-1]).floor if self.snapshots else NOWHERE

    def arrange(self) -> tuple[SignedVertex, ...]:
        """The vertices in an order in which they can be taken back.

        What lies at or below the horizon of lane 0 goes first, by reference: it may have come late,
        by name, and tells who may speak.
        """
        horizon = self.find_horizon()
        old: list[SignedVertex] = []
        new: list[SignedVertex] = []
        for signed in self.vertices:
            vertex = signed.vertex
            is_old = vertex.lane == LANE_SPEECH and vertex.lamport <= horizon.speech
            (old if is_old else new).append(signed)
        old.sort(key=lambda signed: signed.ref)
        return (*old, *new)
