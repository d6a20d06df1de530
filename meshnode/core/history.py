"""What a certified checkpoint changes: a snapshot is kept, the horizon rises, history may go.

A checkpoint that a quorum has voted for is stored with the blocks that say so, and every peer is
told of it. From then on references at or below its floor, lane by lane, count as present here. Where
this node prunes, it deletes what lies at or below the floor of the checkpoint before, so that peers
a little behind are still served.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from consensus.checkpoint import compute_root, decode_header, encode_header
from dag.canonical import encode
from dag.index import NOWHERE
from meshnode.core.checkpointing import join_piece
from meshnode.core.effects import (
    LoadStored,
    SendSnapshot,
    StoreSnapshot,
    StoreValue,
)
from meshnode.core.inputs import Loaded, Outcome
from meshnode.core.messages import Checkpoint, GetSnapshot
from meshnode.core.pinned import PINNED_PIECE, decode_pinned
from meshnode.core.recovered import (
    PRUNED_KEY,
    Certified,
    StoredSnapshot,
    decode_chain,
    decode_pruned,
    encode_chain,
    read_header,
)

if TYPE_CHECKING:
    from consensus.checkpoint import SnapshotHeader
    from dag.types import Horizon
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.recovered import Recovered
    from meshnode.core.replica import CertifiedCheckpoint, Replica
    from meshnode.core.store import Store

SNAPSHOTS_KEPT: Final = 2


class History:
    """The newest certified checkpoint, and what it allows to be forgotten."""

    def __init__(self, outbox: Outbox, store: Store, peers: Peers, replica: Replica) -> None:
        self._outbox = outbox
        self._store = store
        self._peers = peers
        self._replica = replica
        self._prunes = False
        self._pruned = NOWHERE
        self._chain: tuple[Certified, ...] = ()
        self._newest: Checkpoint | None = None
        self._seen = 0
        """Index of the last checkpoint whose blocks are to be read, or that is stored."""
        self._waiting: deque[CertifiedCheckpoint] = deque()
        """Certified, and their blocks not read yet."""

    def restore(self, recovered: Recovered, *, prunes: bool) -> None:
        """Take up what the journal holds."""
        self._prunes = prunes
        self._pruned = decode_pruned(recovered.values.get(PRUNED_KEY, b""))
        snapshots = recovered.snapshots
        if snapshots:
            self._note(snapshots[-1], read_header(snapshots[-1]))

    def _note(self, snapshot: StoredSnapshot, header: SnapshotHeader) -> None:
        self._chain = decode_chain(snapshot.chain)
        self._newest = Checkpoint(header.index, compute_root(header), header.floor)
        self._seen = max(self._seen, header.index)

    @property
    def pruned_commit(self) -> int:
        """The commit of the newest checkpoint: what lies below its floor may be missing here."""
        return 0 if self._newest is None else self._newest.index

    @property
    def pruned(self) -> Horizon:
        """History up to here is not held, but for what is needed by name; 0 where all of it is."""
        return self._pruned

    @property
    def newest(self) -> Checkpoint | None:
        """The newest certified checkpoint, as peers are told of it."""
        return self._newest

    def follow(self) -> None:
        """Blocks were admitted: checkpoints may be certified by them."""
        for certified in self._replica.take_certified():
            if certified.certificate.index > self._seen:
                self._seen = certified.certificate.index
                self._waiting.append(certified)
                if len(self._waiting) == 1:
                    self._load()

    def _load(self) -> None:
        """Read the blocks of the oldest one; one after the other, for each goes on from the last."""
        certified = self._waiting[0]
        work = LoadStored(tuple(ref.id for ref in certified.certificate.blocks))
        self._outbox.run(work, self._on_loaded)

    def _on_loaded(self, now_ms: int, outcome: Outcome) -> None:
        assert isinstance(outcome, Loaded)
        blocks = tuple(signed.wire for signed in outcome.vertices)
        # It waits until it is kept: what the horizon lets in then may certify the next one.
        self._keep(now_ms, self._waiting[0], blocks)
        self._waiting.popleft()
        if self._waiting:
            self._load()

    def _keep(self, now_ms: int, certified: CertifiedCheckpoint, blocks: tuple[bytes, ...]) -> None:
        header = certified.checkpoint.header
        floor_before = NOWHERE if self._newest is None else self._newest.floor
        chain = (*self._keep_ends(header.epoch), Certified(encode_header(header), blocks))
        snapshot = StoredSnapshot(header.index, encode_chain(chain), certified.checkpoint.parts)
        self._outbox.persist(StoreSnapshot(snapshot, SNAPSHOTS_KEPT))
        self._note(snapshot, header)
        assert self._newest is not None
        self._outbox.send(self._peers.ready_names, self._newest)
        self._pin(join_piece(certified.checkpoint, PINNED_PIECE))
        self._store.advance_horizon(now_ms, header.floor)
        if self._prunes:
            self._prune(floor_before)

    def _keep_ends(self, epoch: int) -> tuple[Certified, ...]:
        """The headers that led from each epoch before to the next."""
        headers = [(decode_header(item.header), item) for item in self._chain]
        return tuple(
            item
            for header, item in headers
            if header.epoch < epoch and header.next_committee is not None
        )

    def _pin(self, piece: bytes) -> None:
        state = decode_pinned(piece)
        for ref in (*state.profiles, *(proof.ref for proof in state.evidence)):
            self._store.pin(ref.id)

    def _prune(self, horizon: Horizon) -> None:
        if self._store.prune(horizon):
            self._pruned = horizon
            self._outbox.persist(StoreValue(PRUNED_KEY, encode(horizon)))

    # --- peers ----------------------------------------------------------------------------------

    def on_ready(self, peer: str) -> None:
        """Tell a new connection first of all what need not be compared."""
        if self._newest is not None:
            self._outbox.send((peer,), self._newest)

    def on_question(self, peer: str, message: GetSnapshot) -> None:
        """Send a piece of a snapshot; the journal knows whether it is still held."""
        self._outbox.add(
            SendSnapshot(peer, message.request, message.index, message.section, message.offset)
        )
