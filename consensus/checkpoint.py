"""Checkpoints: a commit at which validators vote for the root of the whole state.

The root is a digest of the snapshot's header. The header names the commit, the committee and the
digest of every part of the state, so a quorum of votes for the root proves all of it. A node that
starts empty believes the committee of genesis; each committee proves the next by a header that
names it as successor. So a few headers and votes stand for the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from consensus.block import CommitVote
from consensus.committee import Committee
from consensus.errors import InvalidCheckpoint, InvalidCommittee, InvalidProtocol
from consensus.protocol import ProfileName
from consensus.validity import judge_bytes
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import InvalidMessage
from dag.genesis import Validator
from dag.types import COUNTER_MAX, ID_BYTES, Horizon
from dag.vertex import SignedVertex

SNAPSHOT_VERSION: Final = 2
ROOT_DOMAIN: Final = b"meshnode/state-root/1"
PART_DOMAIN: Final = b"meshnode/snapshot-part/1"
HEADER_BYTES_MAX: Final = 65_536
PARTS_MAX: Final = 512
PART_NAME_MAX: Final = 48
PART_BYTES_MAX: Final = 1_048_576


class Members(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A committee as a record: what it is made from beside its epoch."""

    validators: tuple[Validator, ...]
    profile: ProfileName


class Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A piece of the state, by its digest."""

    name: str
    digest: bytes
    size_bytes: int


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a checkpoint's root stands for: the state after one commit."""

    version: int
    network: bytes
    index: int
    commit_digest: bytes
    time_ms: int
    """Of the commit."""
    epoch: int
    """The epoch whose blocks vote for this state."""
    committee: Members
    """Of this epoch."""
    next_committee: Members | None
    """Of the next epoch, once a change of the committee has passed."""
    floor: Horizon
    """Vertices of these lamports and below belong to the state; those above are fetched."""
    parts: tuple[Part, ...]
    """Names ascending."""


_PROFILES: Final[dict[str, ProfileName]] = {"bft3": "bft3", "bft5": "bft5", "cft": "cft"}
_header_decoder: Final = CanonicalDecoder(
    SnapshotHeader, what="snapshot header", bytes_max=HEADER_BYTES_MAX
)


def is_checkpoint(index: int, every: int) -> bool:
    """Whether validators vote for the state after a commit; `every` comes from genesis."""
    return index > 0 and index % every == 0


# --- the header -----------------------------------------------------------------------------------


def encode_header(header: SnapshotHeader) -> bytes:
    """The canonical bytes of a header."""
    return encode(header)


def decode_header(data: bytes) -> SnapshotHeader:
    """Read a header. Raises `MalformedMessage`, `MessageTooLarge` or `InvalidCheckpoint`."""
    header = _header_decoder.decode(data)
    if header.version != SNAPSHOT_VERSION:
        raise InvalidCheckpoint(f"snapshot version {header.version} is not {SNAPSHOT_VERSION}")
    for digest in (header.network, header.commit_digest, *(part.digest for part in header.parts)):
        if len(digest) != ID_BYTES:
            raise InvalidCheckpoint(f"network and digests of a snapshot have {ID_BYTES} bytes")
    if not 1 <= header.index <= COUNTER_MAX:
        raise InvalidCheckpoint(f"a snapshot follows a commit, not commit {header.index}")
    for count in (header.time_ms, header.floor.speech, header.floor.blocks):
        if not 0 <= count <= COUNTER_MAX:
            raise InvalidCheckpoint(f"{count} is out of range")
    make_committee(header.epoch, header.committee)
    if header.next_committee is not None:
        make_committee(header.epoch + 1, header.next_committee)
    _check_parts(header.parts)
    return header


def _check_parts(parts: Sequence[Part]) -> None:
    if len(parts) > PARTS_MAX:
        raise InvalidCheckpoint(f"a snapshot has {len(parts)} parts where {PARTS_MAX} are allowed")
    if any(part.name >= after.name for part, after in pairwise(parts)):
        raise InvalidCheckpoint("a snapshot's parts ascend by name")
    for part in parts:
        if not 1 <= len(part.name) <= PART_NAME_MAX or not part.name.isascii():
            raise InvalidCheckpoint(f"a part's name has 1 to {PART_NAME_MAX} ASCII characters")
        if not 0 <= part.size_bytes <= PART_BYTES_MAX:
            raise InvalidCheckpoint(
                f"part {part.name!r} has {part.size_bytes} bytes where {PART_BYTES_MAX} are allowed"
            )


def compute_root(header: SnapshotHeader) -> bytes:
    """The root that votes name: it fixes the header, and through it every part."""
    return compute_digest(ROOT_DOMAIN, encode_header(header))


def describe_committee(committee: Committee) -> Members:
    """The record of a committee."""
    return Members(committee.validators, _PROFILES[committee.profile.name])


def make_committee(epoch: int, members: Members) -> Committee:
    """The committee of a record. Raises `InvalidCheckpoint` for one that no epoch can have."""
    try:
        return Committee(epoch, members.validators, members.profile)
    except (InvalidCommittee, InvalidProtocol) as error:
        raise InvalidCheckpoint(f"a snapshot's committee: {error.message}") from None


# --- the parts ------------------------------------------------------------------------------------


def split_state(name: str, data: bytes) -> tuple[tuple[Part, bytes], ...]:
    """Cut one piece of the state into parts that can travel; at least one, also of no bytes."""
    pieces = [
        data[start : start + PART_BYTES_MAX] for start in range(0, len(data), PART_BYTES_MAX)
    ] or [b""]
    return tuple(
        (Part(f"{name}/{number:04}", compute_digest(PART_DOMAIN, piece), len(piece)), piece)
        for number, piece in enumerate(pieces)
    )


def check_part(part: Part, data: bytes) -> None:
    """Raises `InvalidCheckpoint` unless these are the bytes of a part."""
    if len(data) != part.size_bytes or compute_digest(PART_DOMAIN, data) != part.digest:
        raise InvalidCheckpoint(f"the bytes of part {part.name!r} are not those of the snapshot")


# --- trust ----------------------------------------------------------------------------------------


def verify_certificate(
    header: SnapshotHeader, blocks: Sequence[SignedVertex], committee: Committee
) -> None:
    """Check that a quorum of a trusted committee voted for a header's root.

    The caller has checked the blocks' signatures (`dag.identity.verify_vertex`). A vote counts
    whether or not its block is valid: its author signed it. Raises `InvalidCheckpoint`.
    """
    if header.epoch != committee.epoch or header.committee != describe_committee(committee):
        raise InvalidCheckpoint("the snapshot names a committee that is not the trusted one")
    if len(blocks) > len(committee):
        raise InvalidCheckpoint(f"{len(blocks)} votes of {len(committee)} validators")
    vote = CommitVote(header.index, header.commit_digest, compute_root(header))
    authors = 0
    for signed in blocks:
        try:
            block = judge_bytes(signed, header.network, committee)
        except InvalidMessage as error:
            raise InvalidCheckpoint(f"a vote's block is none: {error.message}") from None
        if authors & 1 << block.author:
            raise InvalidCheckpoint("a validator's vote counts once")
        if vote not in block.votes:
            raise InvalidCheckpoint(f"block {signed.id.hex()[:12]} does not vote for the snapshot")
        authors |= 1 << block.author
    stake, quorum = committee.weigh(authors), committee.thresholds.quorum
    if stake < quorum:
        raise InvalidCheckpoint(f"votes for the snapshot hold {stake} of {quorum}")


def verify_chain(
    network: bytes,
    committee: Committee,
    chain: Iterable[tuple[SnapshotHeader, Sequence[SignedVertex]]],
) -> Committee:
    """Follow certified headers from a trusted committee; answers the one that the last one proves.

    A header of the next epoch is believed once a header before it has named its committee. As in
    `verify_certificate`, signatures are the caller's to check. Raises `InvalidCheckpoint`.
    """
    index = 0
    successor: Committee | None = None
    for header, blocks in chain:
        if header.network != network:
            raise InvalidCheckpoint("a snapshot of another network")
        if header.index <= index:
            raise InvalidCheckpoint("snapshots of a chain ascend")
        if successor is not None and header.epoch == successor.epoch:
            committee, successor = successor, None
        verify_certificate(header, blocks, committee)
        index = header.index
        if header.next_committee is not None:
            successor = make_committee(header.epoch + 1, header.next_committee)
    return committee
