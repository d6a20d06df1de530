"""Writes `blobs.json`: manifests and ids of blobs that another implementation must reproduce.

    python -m tests.vectors.generate_blobs

Content is the bytes of SHA-256 counters, so that it need not stand there: block n is the digest of n
in eight bytes, big-endian; the blocks follow each other and are cut to the size.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dag.bodies import BlobNote
from dag.canonical import encode
from meshnode.core.blob_manifest import (
    CHUNK_BYTES_MIN,
    digest_content,
    encode_manifest,
    make_blob_ref,
)

PATH = Path(__file__).with_name("blobs.json")
SIZES = (1, 16_385, CHUNK_BYTES_MIN, CHUNK_BYTES_MIN + 1, 3 * CHUNK_BYTES_MIN + 77)


def make_content(size_bytes: int) -> bytes:
    """Content of this size."""
    blocks = (hashlib.sha256(n.to_bytes(8, "big")).digest() for n in range(-(-size_bytes // 32)))
    return b"".join(blocks)[:size_bytes]


def describe(size_bytes: int) -> dict[str, Any]:
    """One blob."""
    manifest = digest_content(make_content(size_bytes))
    ref = make_blob_ref(manifest)
    return {
        "size_bytes": size_bytes,
        "chunk_bytes": manifest.chunk_bytes,
        "chunks": manifest.chunks,
        "manifest": encode_manifest(manifest).hex(),
        "id": ref.id.hex(),
        "note_body": encode(BlobNote("text/plain", "a blob", b"", ref)).hex(),
    }


def make_vectors() -> dict[str, Any]:
    """The whole document."""
    return {
        "about": "Blobs: manifest = [1, size, chunk size, digests]; see docs/protocol.md.",
        "blobs": [describe(size_bytes) for size_bytes in SIZES],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(make_vectors(), indent=1) + "\n", encoding="utf-8")
