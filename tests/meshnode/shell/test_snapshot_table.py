"""Snapshots in the journal: written with the rest of a batch, the newest kept, read in pieces."""

from __future__ import annotations

import sqlite3

import pytest

from dag.index import NOWHERE
from meshnode.core.effects import ForgetVertices, StoreSnapshot, StoreVertex
from meshnode.core.recovered import StoredSnapshot
from meshnode.shell.journal_check import check_journal
from meshnode.shell.store import FILE_NAME, Store
from tests.support.dag_builder import DagBuilder

NETWORK = bytes(range(32))


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path, NETWORK)
    yield opened
    opened.close()


def make(index: int) -> StoredSnapshot:
    return StoredSnapshot(index, b"chain %d" % index, (b"", b"part" * 1_000))


def test_the_newest_snapshots_are_kept_in_order(store):
    for index in (20, 10, 30):
        store.append([StoreSnapshot(make(index), 2)])
    assert store.load().snapshots == (make(20), make(30))
    store.append([StoreSnapshot(make(30), 1)])
    assert store.load().snapshots == (make(30),)


def test_sections_are_read_in_pieces(store):
    store.append([StoreSnapshot(make(10), 2)])
    assert store.read_section(10, 0, offset=0, size_bytes=100) == (8, b"chain 10")
    assert store.read_section(10, 1, offset=0, size_bytes=100) == (0, b"")
    assert store.read_section(10, 2, offset=3_998, size_bytes=100) == (4_000, b"rt")
    assert store.read_section(10, 3, offset=0, size_bytes=100) == (0, b"")
    assert store.read_section(11, 0, offset=0, size_bytes=100) == (0, b"")


def test_pruning_and_its_snapshot_are_one_transaction(store):
    builder = DagBuilder(authors=2).profiles().layer()
    store.append([StoreVertex(signed.id, signed.wire) for signed in builder.vertices])
    gone, *kept = builder.vertices
    records = [StoreSnapshot(make(10), 2), ForgetVertices((gone.id, bytes(32)))]
    with pytest.raises(Exception, match="UNIQUE"):
        store.append([*records, StoreVertex(kept[0].id, kept[0].wire)])
    assert store.load().snapshots == ()
    store.append(records)
    recovered = store.load()
    assert [signed.id for signed in recovered.vertices] == [signed.id for signed in kept]
    assert recovered.snapshots == (make(10),)


def test_a_file_of_an_older_version_gets_the_table(tmp_path):
    Store.open(tmp_path, NETWORK).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("DROP TABLE snapshots")
    connection.close()
    reader = Store.open_readonly(tmp_path / FILE_NAME)
    assert reader.find_floor() == NOWHERE
    reader.close()
    opened = Store.open(tmp_path, NETWORK)
    assert opened.load().snapshots == ()
    opened.close()


def test_a_damaged_snapshot_is_found(tmp_path):
    builder = DagBuilder(authors=2).profiles()
    opened = Store.open(tmp_path / "other", builder.network)
    opened.append([StoreVertex(signed.id, signed.wire) for signed in builder.vertices])
    opened.append([StoreSnapshot(make(20), 1)])
    opened.checkpoint()
    opened.close()
    findings = check_journal(tmp_path / "other" / FILE_NAME, builder.genesis).findings
    assert any("the newest snapshot is damaged" in finding.problem for finding in findings)
