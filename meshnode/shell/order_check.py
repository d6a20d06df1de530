"""Re-checks the commits of a journal: that their digests chain, up to the recorded head.

Each digest names the one before, the leader, every vertex put out and the agreed time. So a chain
that holds up to the head is the very order the node told; what the vertices themselves decide is
compared with that head at every start of a node.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from consensus.commits import CommitHead
from dag.order import GENESIS_COMMIT_DIGEST, compute_commit_digest
from dag.types import Ref
from meshnode.core.recovered import HEAD_KEY
from meshnode.shell.commit_table import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshnode.shell.commit_table import StoredCommit
    from meshnode.shell.store import Store


@dataclass(slots=True)
class _Tip:
    """The last commit that was looked at."""

    index: int = 0
    digest: bytes = GENESIS_COMMIT_DIGEST
    time_ms: int = 0


def check_commits(
    store: Store, find: Callable[[str], None], certified: Mapping[int, bytes] | None = None
) -> int:
    """Check every commit; what is wrong is told to `find`. Answers how many there are.

    `certified` holds digests for which a quorum stands, by index: a chain that begins behind one
    has to continue it, and one that passes it has to agree.
    """
    known = certified or {}
    count, tip = 0, _Tip()
    try:
        for row in read_all(store.query):
            count += 1
            if isinstance(row, str):
                find(row)
                continue
            if tip.index != row.index - 1 and row.index - 1 in known:
                tip = _Tip(row.index - 1, known[row.index - 1], tip.time_ms)
            for problem in _check_commit(row, tip, known.get(row.index)):
                find(f"commit {row.index}: {problem}")
            tip = _Tip(row.index, row.digest, row.time_ms)
        _check_head(store, tip, find)
    except sqlite3.DatabaseError as error:
        find(f"the commits cannot be read: {error}")
    return count


def _check_commit(commit: StoredCommit, tip: _Tip, certified: bytes | None) -> Iterator[str]:
    if certified is not None and commit.digest != certified:
        yield "a quorum certified another one"
    if commit.leader not in commit.vertices:
        yield "its leader is none of its vertices"
    if commit.time_ms < tip.time_ms:
        yield "its time lies before that of an earlier one"
    if commit.index != tip.index + 1:
        return  # what it continues is not here: pruned, or taken over with a snapshot
    refs = tuple(Ref(0, vertex) for vertex in commit.vertices)  # a digest names ids only
    digest = compute_commit_digest(tip.digest, commit.index, commit.leader, refs, commit.time_ms)
    if digest != commit.digest:
        yield "its digest does not follow from the one before and from what it put out"


def _check_head(store: Store, tip: _Tip, find: Callable[[str], None]) -> None:
    query = f"SELECT value FROM named_values WHERE key = '{HEAD_KEY}'"  # noqa: S608  # constant
    found = store.query(query).fetchone()
    if found is None or not tip.index:
        return
    try:
        head = msgspec.msgpack.decode(found[0], type=CommitHead)
    except (msgspec.DecodeError, TypeError):
        find("the record of the last commit is damaged")
        return
    if (head.index, head.digest) != (tip.index, tip.digest):
        find(f"the commits end at {tip.index}, and the record names commit {head.index}")
