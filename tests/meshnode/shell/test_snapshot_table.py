"""Snapshots in the journal: written with the rest of a batch, the newest kept, read in pieces."""

from __future__ import annotations

import sqlite3

import pytest

from consensus.checkpoint import Members, SnapshotHeader, encode_header
from meshnode.core.effects import ForgetVertices, StoreSnapshot, StoreVertex
from meshnode.core.recovered import Certified, StoredSnapshot, encode_chain
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
    assert reader.find_floor() == 0
    reader.close()
    opened = Store.open(tmp_path, NETWORK)
    assert opened.load().snapshots == ()
    opened.close()


def test_a_pruned_journal_passes_its_check_and_a_damaged_snapshot_is_found(tmp_path):
    builder = DagBuilder(authors=2).profiles().layer().layer()
    network = builder.network
    header = SnapshotHeader(
        version=1,
        network=network,
        index=10,
        commit_digest=bytes(32),
        time_ms=0,
        epoch=0,
        committee=Members(builder.genesis.committee, "bft3"),
        next_committee=None,
        floor_lamport=2,
        parts=(),
    )
    chain = encode_chain([Certified(encode_header(header), ())])
    store = Store.open(tmp_path, network)
    store.append([StoreVertex(signed.id, signed.wire) for signed in builder.vertices])
    gone = tuple(signed.id for signed in builder.vertices[2:4])
    store.append([StoreSnapshot(StoredSnapshot(10, chain, ()), 2), ForgetVertices(gone)])
    store.checkpoint()
    path = tmp_path / FILE_NAME
    assert check_journal(path, builder.genesis).findings == ()
    store.append([StoreSnapshot(make(20), 1)])
    store.checkpoint()
    problems = [finding.problem for finding in check_journal(path, builder.genesis).findings]
    assert any("the newest snapshot is damaged" in problem for problem in problems)
    store.close()
