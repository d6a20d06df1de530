"""The commits of a journal are checked against their digests and the recorded head."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from consensus.commits import CommitHead
from dag.canonical import encode
from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from dag.types import Ref
from meshnode.core.effects import StoreValue
from meshnode.core.events import Committed
from meshnode.core.recovered import HEAD_KEY
from meshnode.shell.order_check import check_commits
from meshnode.shell.store import FILE_NAME, Store

NETWORK = bytes(32)


def make_chain(count: int) -> list[Commit]:
    commits, previous = [], GENESIS_COMMIT_DIGEST
    for index in range(1, count + 1):
        refs = tuple(Ref(n, bytes([index, n]) * 16) for n in range(3))
        digest = compute_commit_digest(previous, index, refs[-1].id, refs, 50 * index)
        commits.append(Commit(index, digest, previous, refs[-1].id, refs, 50 * index))
        previous = digest
    return commits


@pytest.fixture
def path(tmp_path):
    store = Store.open(tmp_path, NETWORK)
    commits = make_chain(4)
    last = commits[-1]
    head = encode(CommitHead(last.index, last.digest, last.time_ms))
    store.append([StoreValue(HEAD_KEY, head)], [Committed(commit, 2) for commit in commits])
    store.close()
    return tmp_path / FILE_NAME


def check(path, certified=None):
    found: list[str] = []
    with closing(Store.open_readonly(path)) as store:
        return check_commits(store, found.append, certified), found


def change(path, statement, *parameters):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, parameters)


def test_a_sound_chain_reaches_its_head(path):
    assert check(path) == (4, [])


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE commits SET time_ms = 101 WHERE position = 2", ["commit 2", "does not follow"]),
        ("UPDATE commits SET time_ms = 9 WHERE position = 2", ["commit 2", "lies before"]),
        ("UPDATE commits SET leader = zeroblob(32) WHERE position = 3", ["commit 3", "leader"]),
        ("UPDATE commits SET ids = 'x' WHERE position = 3", ["commit 3 is damaged"]),
        ("UPDATE commits SET ids = zeroblob(33) WHERE position = 3", ["commit 3 is damaged"]),
        ("DELETE FROM commits WHERE position = 4", ["end at 3", "names commit 4"]),
        ("UPDATE named_values SET value = zeroblob(3)", ["record of the last commit is damaged"]),
        ("UPDATE named_values SET value = 7", ["record of the last commit is damaged"]),
    ],
)
def test_what_was_changed_is_named(path, statement, words):
    change(path, statement)
    _, found = check(path)
    assert any(all(word in problem for word in words) for problem in found), found


def test_a_chain_that_was_taken_up_behind_a_snapshot_is_checked_from_there(path):
    change(path, "DELETE FROM commits WHERE position < 3")
    assert check(path) == (2, [])
    change(path, "UPDATE commits SET time_ms = 201 WHERE position = 4")
    assert any("commit 4" in problem for problem in check(path)[1])


def test_what_a_quorum_certified_is_what_the_chain_passes_or_continues(path):
    digests = {commit.index: commit.digest for commit in make_chain(4)}
    assert check(path, {2: digests[2]}) == (4, [])
    assert check(path, {2: bytes(32)})[1] == ["commit 2: a quorum certified another one"]
    change(path, "DELETE FROM commits WHERE position < 3")
    assert check(path, {2: digests[2]}) == (2, [])
    (problem,) = check(path, {2: bytes(32)})[1]
    assert problem.startswith("commit 3: its digest does not follow")


def test_a_store_without_an_order_has_nothing_to_check(path):
    change(path, "DELETE FROM named_values")
    assert check(path) == (4, [])
    change(path, "DELETE FROM commits")
    assert check(path) == (0, [])
    change(path, "DROP TABLE commits")
    assert check(path) == (0, [])


def test_a_table_that_cannot_be_read_is_a_finding(path):
    change(path, "ALTER TABLE commits DROP COLUMN said")
    assert "cannot be read" in check(path)[1][0]
