"""Re-checks the snapshots of a journal: that a quorum certified them, and that they are whole.

What lies at or below a snapshot's floor need not be here, so nobody can derive it anew. What takes
its place is the signed word of validators, followed from the committee of genesis.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consensus.checkpoint import check_part, compute_root, make_committee
from dag.crypto import verify_suite
from dag.errors import InvalidMessage
from dag.genesis import compute_network_id
from dag.index import NOWHERE
from dag.types import Horizon
from dag.vertex import compute_signed_message, decode_signed
from meshnode.core.checkpointing import join_pieces
from meshnode.core.messages import Checkpoint
from meshnode.core.pinned import PINNED_PIECE, decode_pinned
from meshnode.core.recovered import decode_chain, read_checkpoint, read_header
from meshnode.core.snapshot_proof import read_proof
from meshnode.errors import StorageError
from meshnode.shell.snapshot_table import load_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.genesis import Genesis
    from dag.intake import Intake
    from meshnode.core.recovered import StoredSnapshot
    from meshnode.core.snapshot_proof import SnapshotProof
    from meshnode.shell.store import Store

    Find = Callable[[str], None]


@dataclass(slots=True)
class Certified:
    """What the sound snapshots of a journal vouch for."""

    commit: int = 0
    """Index of the newest one's commit; 0 where there is none."""
    stake: int = 0
    """Of the validators whose votes are held for it."""
    total: int = 0
    """Of its committee."""
    floor: Horizon = NOWHERE
    pruned: Horizon = NOWHERE
    """History up to here is not held; 0 where all of it is."""
    digests: dict[int, bytes] = field(default_factory=dict)
    """Of the certified commits, by index."""


def check_snapshots(store: Store, genesis: Genesis, intake: Intake, find: Find) -> Certified:
    """Check every snapshot against the stored vertices; what is wrong is told to `find`."""
    certified = Certified()
    try:
        certified.pruned = store.read_pruned()
        for snapshot in store.read_with(load_snapshots):
            try:
                _check(snapshot, genesis, intake, certified)
            except InvalidMessage as error:
                find(f"the snapshot of commit {snapshot.index}: {error.message}")
    except (sqlite3.DatabaseError, StorageError, InvalidMessage, TypeError) as error:
        find(f"the snapshots cannot be read: {error}")
    if certified.floor.join(certified.pruned) != certified.floor:
        find(
            f"history up to lamport {certified.pruned.highest} was deleted, and no sound snapshot "
            "stands for it"
        )
    return certified


def _check(
    snapshot: StoredSnapshot, genesis: Genesis, intake: Intake, certified: Certified
) -> None:
    """Raises `InvalidMessage` for what a newcomer would refuse."""
    header = read_header(snapshot)
    told = Checkpoint(header.index, compute_root(header), header.floor)
    proof = read_proof(genesis, compute_network_id(genesis), told, snapshot.chain)
    _check_signatures(proof, genesis, intake)
    if (header.index, len(header.parts)) != (snapshot.index, len(snapshot.parts)):
        raise InvalidMessage("its record is that of another snapshot")
    for part, data in zip(header.parts, snapshot.parts, strict=True):
        check_part(part, data)
    _check_pinned(snapshot, intake)
    committee = make_committee(header.epoch, header.committee)
    blocks = decode_chain(snapshot.chain)[-1].blocks
    voters = {decode_signed(wire).vertex.author for wire in blocks}
    stakes = [each.stake for each in committee.validators if each.author in voters]
    certified.commit, certified.stake = header.index, sum(stakes)
    certified.total = sum(each.stake for each in committee.validators)
    certified.floor = header.floor
    certified.digests[header.index] = header.commit_digest


def _check_signatures(proof: SnapshotProof, genesis: Genesis, intake: Intake) -> None:
    for signed in proof.votes:
        keys = intake.authors.get_keys(signed.vertex.author)
        if keys is None:
            author = signed.vertex.author.hex()[:8]
            raise InvalidMessage(f"validator {author} voted for it, and its profile is not stored")
        message = compute_signed_message(signed.id)
        if not verify_suite(genesis.suite, keys, message, signed.signature):
            raise InvalidMessage(f"the signature of vote {signed.id.hex()[:12]} does not hold")


def _check_pinned(snapshot: StoredSnapshot, intake: Intake) -> None:
    """Who may speak, and who has forked, cannot be told without these."""
    pieces = join_pieces(read_checkpoint(snapshot))
    state = decode_pinned(pieces.get(PINNED_PIECE, b""))
    for ref in (*state.profiles, *(proof.ref for proof in state.evidence)):
        if ref.id not in intake.index:
            raise InvalidMessage(f"it pins vertex {ref.id.hex()[:12]}, which is not stored")
