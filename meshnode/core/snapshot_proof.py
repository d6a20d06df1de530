"""What proves a snapshot to a node that knows nothing but genesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consensus.checkpoint import SnapshotHeader, compute_root, decode_header, verify_chain
from consensus.committee import make_first_committee
from consensus.errors import InvalidCheckpoint
from dag.vertex import SignedVertex, compute_signed_message, decode_signed
from meshnode.core.effects import VerifyItem
from meshnode.core.recovered import decode_chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dag.genesis import Genesis
    from dag.keys import PublicKeys
    from meshnode.core.messages import Checkpoint

STATE_BYTES_MAX: Final = 256 * 1_048_576
"""Of all parts of a snapshot that is fetched."""


class SnapshotProof(msgspec.Struct, frozen=True):
    """A chain of headers with the votes for each; that their signatures hold is still to be seen."""

    chain: bytes
    header: SnapshotHeader
    """The last of the chain."""
    votes: tuple[SignedVertex, ...]
    """The blocks of the whole chain."""

    def make_items(self, keys: Mapping[bytes, PublicKeys]) -> tuple[VerifyItem, ...]:
        """The signatures to check, under keys of every author."""
        return tuple(
            VerifyItem(
                keys[signed.vertex.author], compute_signed_message(signed.id), signed.signature
            )
            for signed in self.votes
        )


def read_proof(genesis: Genesis, network: bytes, told: Checkpoint, data: bytes) -> SnapshotProof:
    """Follow a chain from the committee of genesis to the checkpoint that a peer told of.

    Raises `InvalidMessage` for a chain that proves nothing, or another checkpoint.
    """
    chain = [
        (decode_header(item.header), tuple(decode_signed(wire) for wire in item.blocks))
        for item in decode_chain(data)
    ]
    verify_chain(network, make_first_committee(genesis), chain)
    header = chain[-1][0]
    found = (header.index, compute_root(header), header.floor)
    if found != (told.index, told.root, told.floor):
        raise InvalidCheckpoint("the chain leads to another checkpoint than the one it was told")
    if sum(part.size_bytes for part in header.parts) > STATE_BYTES_MAX:
        raise InvalidCheckpoint(f"the state is larger than {STATE_BYTES_MAX} bytes")
    return SnapshotProof(data, header, tuple(signed for _, blocks in chain for signed in blocks))
