"""The commit digest chains."""

from __future__ import annotations

from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from dag.types import Ref


def test_commit_digest_binds_every_field():
    refs = (Ref(1, b"a" * 32), Ref(2, b"b" * 32))
    base = (GENESIS_COMMIT_DIGEST, 1, b"l" * 32, refs, 5)
    digest = compute_commit_digest(*base)
    changed = [
        (b"x" * 32, *base[1:]),
        (base[0], 2, *base[2:]),
        (*base[:2], b"m" * 32, *base[3:]),
        (*base[:3], refs[::-1], 5),
        (*base[:4], 6),
    ]
    digests = [compute_commit_digest(*fields) for fields in changed]
    assert len({digest, *digests}) == 6
    assert Commit(1, digest, base[0], base[2], refs, 5).digest == digest
