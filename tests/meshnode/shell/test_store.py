"""The SQLite store: order, atomic batches, queries and damaged records."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from dag.types import Kind
from meshnode.core.effects import StoreValue, StoreVertex
from meshnode.errors import CorruptJournal, StorageError
from meshnode.shell.store import FILE_NAME, Store
from tests.support.dag_builder import DagBuilder

NETWORK = bytes(range(32))


@pytest.fixture
def builder():
    return DagBuilder(authors=3).profiles().layer().layer()


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "net", NETWORK)
    yield opened
    opened.close()


def to_records(vertices):
    return [StoreVertex(signed.id, signed.wire) for signed in vertices]


def test_store_gives_back_vertices_in_admission_order_and_values(store, builder):
    store.append(to_records(builder.vertices[:5]))
    store.append([StoreValue("a", b"1"), *to_records(builder.vertices[5:]), StoreValue("b", b"2")])
    store.append([StoreValue("a", b"")])
    recovered = store.load()
    assert [v.id for v in recovered.vertices] == [v.id for v in builder.vertices]
    assert recovered.values == {"b": b"2"}


def test_store_files_are_the_owners_alone(store, tmp_path):
    assert stat.S_IMODE((tmp_path / "net").stat().st_mode) == 0o700
    for path in (tmp_path / "net").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_store_writes_a_batch_whole_or_not_at_all(store, builder):
    records = to_records(builder.vertices[:3])
    with pytest.raises(StorageError):
        store.append([*records, records[0]])
    assert store.load().vertices == ()


def test_store_reads_what_it_has_and_leaves_out_the_rest(store, builder):
    store.append(to_records(builder.vertices))
    ids = [v.id for v in builder.vertices] + [bytes([n % 256, n // 256]) * 16 for n in range(600)]
    assert store.read(ids) == {v.id: v.wire for v in builder.vertices}


def test_store_scans_newest_first_by_kind_author_and_position(store, builder):
    store.append(to_records(builder.vertices))
    everything = store.scan(limit=100, kind=None, author=None, before=None)
    assert [s.signed.id for s in everything] == [v.id for v in reversed(builder.vertices)]
    notes = store.scan(limit=2, kind=Kind.NOTE, author=None, before=None)
    assert [s.signed.id for s in notes] == [v.id for v in reversed(builder.vertices[-2:])]
    author = builder.people[1].author
    own = store.scan(limit=9, kind=None, author=author, before=notes[-1].position)
    assert {s.signed.vertex.author for s in own} == {author}
    profiles = store.scan(limit=9, kind=Kind.PROFILE, author=None, before=None)
    assert len(profiles) == 3


def test_store_finds_ids_by_prefix(store, builder):
    store.append(to_records(builder.vertices))
    wanted = builder.vertices[0].id
    assert wanted in store.find(wanted[:3], limit=5)
    assert store.find(wanted, limit=5) == [wanted]
    assert store.find(b"", limit=2) == sorted(v.id for v in builder.vertices)[:2]


def test_store_refuses_another_network(tmp_path):
    Store.open(tmp_path, NETWORK).close()
    with pytest.raises(StorageError, match="another network"):
        Store.open(tmp_path, bytes(32))


def test_store_refuses_another_schema(tmp_path):
    Store.open(tmp_path, NETWORK).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE meta SET value = x'39' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(StorageError, match="schema b'9'"):
        Store.open(tmp_path, NETWORK)


def test_store_names_the_record_whose_bytes_changed(store, builder, tmp_path):
    store.append(to_records(builder.vertices))
    victim = builder.vertices[4]
    broken = bytearray(victim.wire)
    broken[len(broken) // 2] ^= 1
    change(tmp_path, "UPDATE vertices SET wire = ? WHERE id = ?", (bytes(broken), victim.id))
    with pytest.raises(CorruptJournal, match=f"vertex {victim.id.hex()} \\(record 5\\)"):
        store.load()


def test_store_names_the_record_whose_form_changed(store, builder, tmp_path):
    store.append(to_records(builder.vertices))
    victim = builder.vertices[2]
    change(tmp_path, "UPDATE vertices SET wire = x'00' WHERE id = ?", (victim.id,))
    with pytest.raises(CorruptJournal, match=victim.id.hex()):
        store.load()
    change(tmp_path, "UPDATE vertices SET wire = 'text' WHERE id = ?", (victim.id,))
    with pytest.raises(CorruptJournal, match="record 3 is damaged"):
        store.load()


def test_store_reports_a_full_disk_and_keeps_what_it_had(store, builder):
    store.append(to_records(builder.vertices[:2]))
    pages = store.query("PRAGMA page_count").fetchone()[0]
    store.query(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(StorageError, match=r"disk is full; check free space"):
        store.append([StoreValue("big", bytes(100_000))])
    assert len(store.load().vertices) == 2


def test_store_reports_a_file_that_is_no_database(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(CorruptJournal, match="is damaged: file is not a database"):
        Store.open(tmp_path, NETWORK)


def test_store_reports_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot use the journal"):
        Store.open(tmp_path / "file" / "net", NETWORK)


def change(folder, sql, parameters):
    path = next(folder.rglob(FILE_NAME))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, parameters)
    connection.close()
