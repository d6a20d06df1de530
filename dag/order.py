"""The agreed order, as both sides of it see it: consensus produces commits, market folds them."""

from __future__ import annotations

from typing import Final

import msgspec

from dag.canonical import compute_digest, encode
from dag.types import Ref

COMMIT_DOMAIN: Final = b"meshnode/commit/1"
GENESIS_COMMIT_DIGEST: Final = bytes(32)


class Commit(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One ordered step: the vertices a committed leader adds to the output, in order."""

    index: int
    digest: bytes
    previous_digest: bytes
    leader: bytes
    """Id of the leader's block."""
    vertices: tuple[Ref, ...]
    time_ms: int
    """Stake median of the leader's parents' times; never a local clock."""


def compute_commit_digest(
    previous_digest: bytes, index: int, leader: bytes, vertices: tuple[Ref, ...], time_ms: int
) -> bytes:
    """Chain a commit to its predecessor: the digest that blocks vote for."""
    content = encode((previous_digest, index, leader, tuple(ref.id for ref in vertices), time_ms))
    return compute_digest(COMMIT_DOMAIN, content)
