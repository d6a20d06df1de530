"""What can go wrong with blobs, on top of `meshnode.errors`."""

from __future__ import annotations

from dag.errors import Offence
from meshnode.errors import CommandRejected, InvalidMessage, StorageError


class NoSuchBlob(CommandRejected):
    """Neither this node nor any peer it asked has the blob, or gives it."""

    code = "no_such_blob"


class BlobQuotaFull(StorageError):
    """Everything that is kept leaves no room for another blob."""

    code = "blob_quota_full"


class WrongChunk(InvalidMessage):
    """Bytes of a peer that are not the chunk which a manifest names, or that were not asked for."""

    code = "wrong_chunk"
    offence = Offence.BAD_PROOF
