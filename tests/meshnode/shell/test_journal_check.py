"""Checking a journal: each kind of damage is found and named, and nothing is changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct

import pytest

from dag.canonical import encode
from dag.types import Kind
from dag.vertex import Envelope
from meshnode.core.effects import StoreVertex
from meshnode.errors import StorageError
from meshnode.shell import journal_check
from meshnode.shell.journal_check import check_journal
from meshnode.shell.lockfile import LockFile
from meshnode.shell.store import FILE_NAME, Store
from meshnode.shell.wal import mend_log
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(authors=3).profiles().layer(body=b"y" * 6_000).layer(body=b"x" * 300)


@pytest.fixture
def path(tmp_path):
    """A journal that was closed: one file."""
    return write_journal(tmp_path / "net")


def write_journal(folder, vertices=None, builder=BUILDER):
    store = Store.open(folder, builder.network)
    store.append([StoreVertex(v.id, v.wire) for v in vertices or builder.vertices])
    store.close()
    return folder / FILE_NAME


def flip(path, position, mask=1):
    data = bytearray(path.read_bytes())
    data[position] ^= mask
    path.write_bytes(bytes(data))


def change(path, sql, *parameters):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, parameters)
    connection.close()
    for suffix in ("-wal", "-shm"):
        assert not path.with_name(path.name + suffix).exists()


def test_check_finds_nothing_in_a_sound_journal(path):
    report = check_journal(path, BUILDER.genesis)
    assert report.ok
    assert (report.vertices, report.dependants) == (len(BUILDER.vertices), 0)


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_check_names_the_vertex_of_any_flipped_byte(tmp_path, suite):
    builder = DagBuilder(authors=2, suite=suite).profiles().layer()
    path = write_journal(tmp_path, builder=builder)
    whole = path.read_bytes()
    victim = builder.vertices[-1]
    tail = victim.wire[-200:]
    start = whole.index(tail)
    for offset in range(0, len(tail), 7):
        flip(path, start + offset)
        report = check_journal(path, builder.genesis)
        assert [f.vertex for f in report.findings] == [victim.id.hex()], offset
        path.write_bytes(whole)


def test_check_names_a_vertex_whose_body_changed_and_counts_who_stands_on_it(path):
    victim = BUILDER.vertices[3]
    flip(path, path.read_bytes().index(b"y" * 4_000) + 10)
    report = check_journal(path, BUILDER.genesis)
    assert [f.vertex for f in report.findings] == [victim.id.hex()]
    assert report.dependants == 3


def test_check_names_a_vertex_whose_stored_id_changed(path):
    victim = BUILDER.vertices[-1]
    change(path, "UPDATE vertices SET id = zeroblob(32) WHERE id = ?", victim.id)
    (finding,) = check_journal(path, BUILDER.genesis).findings
    assert finding.vertex == bytes(32).hex()
    assert victim.id.hex() in finding.problem


def test_check_names_a_damaged_index_entry(path):
    data = path.read_bytes()
    victim = BUILDER.vertices[-1]
    positions = [n for n in range(len(data)) if data.startswith(victim.id, n)]
    for position in positions:
        flip(path, position + 31)
        report = check_journal(path, BUILDER.genesis)
        assert not report.ok
        assert any(victim.id.hex()[:60] in f.vertex + f.problem for f in report.findings)
        path.write_bytes(data)


def test_check_names_a_vertex_with_a_signature_of_somebody_else(path):
    victim, other = BUILDER.vertices[-1], BUILDER.vertices[-2]
    wire = encode(Envelope(encode(victim.vertex), other.signature))
    change(path, "UPDATE vertices SET wire = ? WHERE id = ?", wire, victim.id)
    (finding,) = check_journal(path, BUILDER.genesis).findings
    assert finding.vertex == victim.id.hex()
    assert "is not signed by" in finding.problem


def test_check_names_a_vertex_whose_parent_is_not_stored(tmp_path):
    vertices = [*BUILDER.vertices[:3], *BUILDER.vertices[4:]]
    report = check_journal(write_journal(tmp_path, vertices), BUILDER.genesis)
    assert len(report.findings) == 3
    assert all(BUILDER.vertices[3].id.hex() in finding.problem for finding in report.findings)
    assert report.dependants == 0


def test_check_names_a_vertex_that_breaks_a_rule(tmp_path):
    builder = DagBuilder(authors=2).profiles()
    stray = builder.vertex(0, kind=Kind.PROFILE, body=b"no profile")
    report = check_journal(write_journal(tmp_path, builder=builder), builder.genesis)
    assert [f.vertex for f in report.findings] == [stray.id.hex()]
    assert "profile" in report.findings[0].problem


def test_check_goes_on_without_the_keys_of_a_damaged_profile(tmp_path):
    builder = DagBuilder(authors=2).profiles()
    joiner = builder.join(0)
    builder.vertex(joiner)
    path = write_journal(tmp_path, builder=builder)
    change(path, "UPDATE vertices SET wire = x'00' WHERE position = 3")
    report = check_journal(path, builder.genesis)
    assert [f.vertex for f in report.findings] == [builder.vertices[2].id.hex()]
    assert report.dependants == 1


def test_check_refuses_another_networks_journal(path):
    other = DagBuilder(authors=3, name="other")
    report = check_journal(path, other.genesis)
    assert "another network" in report.findings[0].problem
    assert len(report.findings) > 1


def test_check_works_on_a_folder_it_cannot_write(path):
    path.parent.chmod(0o500)
    try:
        assert check_journal(path, BUILDER.genesis).ok
    finally:
        path.parent.chmod(0o700)


def test_check_works_beside_a_running_node(tmp_path):
    with LockFile(tmp_path / "journal.lock"):
        store = Store.open(tmp_path, BUILDER.network)
        store.append([StoreVertex(v.id, v.wire) for v in BUILDER.vertices])
        assert check_journal(tmp_path / FILE_NAME, BUILDER.genesis).ok
        store.close()


def copy_unfolded(tmp_path):
    """A copy of a journal whose vertices are still in the write-ahead log."""
    folder = tmp_path / "live"
    store = Store.open(folder, BUILDER.network)
    store.append([StoreVertex(v.id, v.wire) for v in BUILDER.vertices])
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    store.close()
    return copy / FILE_NAME


def test_check_reads_the_log_of_a_copy_and_changes_nothing(tmp_path):
    path = copy_unfolded(tmp_path)
    path.with_name(f"{FILE_NAME}-shm").unlink()
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    report = check_journal(path, BUILDER.genesis)
    assert report.ok
    assert report.vertices == len(BUILDER.vertices)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_check_names_the_vertex_of_a_byte_flipped_in_the_log(tmp_path):
    path = copy_unfolded(tmp_path)
    log = path.with_name(f"{FILE_NAME}-wal")
    victim = BUILDER.vertices[-1]
    flip(log, log.read_bytes().rindex(victim.wire[-100:]))
    report = check_journal(path, BUILDER.genesis)
    assert "write-ahead log" in report.findings[0].problem
    assert report.findings[-1].vertex == victim.id.hex()
    assert report.vertices == len(BUILDER.vertices)


def test_check_reports_a_log_with_a_damaged_header(tmp_path):
    path = copy_unfolded(tmp_path)
    flip(path.with_name(f"{FILE_NAME}-wal"), 0)
    report = check_journal(path, BUILDER.genesis)
    assert "damaged in frame 0" in report.findings[0].problem


def test_check_reports_a_torn_file_and_names_what_it_can(path):
    size = path.stat().st_size
    os.truncate(path, size - 4_096)
    report = check_journal(path, BUILDER.genesis)
    assert not report.ok


def test_check_steps_over_records_that_cannot_be_read(path):
    data = path.read_bytes()
    start = data.index(b"y" * 4_000)
    page = start // 4_096 * 4_096
    path.write_bytes(data[:page] + b"\xff" * 4 + data[page + 4 :])
    report = check_journal(path, BUILDER.genesis)
    assert not report.ok
    assert report.vertices >= 3


@pytest.mark.parametrize("table", ["vertices", "sqlite_autoindex_vertices_1", "meta"])
def test_check_reports_a_destroyed_page_of_any_table(path, table):
    connection = sqlite3.connect(path)
    query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    (root,) = connection.execute(query, (table,)).fetchone()
    connection.close()
    data = path.read_bytes()
    path.write_bytes(data[: (root - 1) * 4_096] + b"\xff" * 4_096 + data[root * 4_096 :])
    report = check_journal(path, BUILDER.genesis)
    assert not report.ok
    assert "damaged" in " ".join(finding.problem for finding in report.findings)


def test_check_names_a_record_it_cannot_read_and_reads_the_rest(path, monkeypatch):
    query = Store.query

    def fail_at_three(self, sql, *parameters):
        rows = query(self, sql, *parameters)
        return stumble(rows) if "wire" in sql and parameters == (0,) else rows

    def stumble(rows):
        yield from (next(rows) for _ in range(2))
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(Store, "query", fail_at_three)
    report = check_journal(path, BUILDER.genesis)
    assert report.findings[0].vertex == BUILDER.vertices[2].id.hex()
    assert "record 3 cannot be read" in report.findings[0].problem
    assert report.vertices == len(BUILDER.vertices) - 1


@pytest.mark.parametrize("log", [b"", b"short"])
def test_check_ignores_a_log_without_a_frame(path, log):
    path.with_name(f"{FILE_NAME}-wal").write_bytes(log)
    assert check_journal(path, BUILDER.genesis).ok


def test_check_leaves_frames_of_an_earlier_round_alone(tmp_path):
    path = copy_unfolded(tmp_path)
    log = path.with_name(f"{FILE_NAME}-wal")
    data = log.read_bytes()
    frame = bytearray(data[-4_120:])
    frame[8:16] = b"old salt"
    log.write_bytes(data + frame)
    assert check_journal(path, BUILDER.genesis).ok


def test_check_walks_a_log_of_the_other_byte_order():
    log = struct.pack(">8I", 0x377F0683, 3_007_000, 512, 0, 1, 2, 3, 4)
    head = struct.pack(">4I", 1, 1, 1, 2)
    content = head[:8] + bytes(512)
    sums = [3, 4]
    for start in range(0, len(content), 8):
        even, odd = struct.unpack(">2I", content[start : start + 8])
        sums[0] = (sums[0] + even + sums[1]) % 2**32
        sums[1] = (sums[1] + odd + sums[0]) % 2**32
    whole = log + head + struct.pack(">2I", *sums) + bytes(512)
    assert mend_log(whole) == (whole, [])
    broken = whole[:-1] + b"\x01"
    mended, damaged = mend_log(broken)
    assert damaged == [1]
    assert mend_log(mended) == (mended, [])


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\x00" + b"\xff" * 5_000, b"x" * 9_000])
def test_check_reports_what_is_no_database(tmp_path, damage):
    path = tmp_path / FILE_NAME
    path.write_bytes(damage)
    assert not check_journal(path, BUILDER.genesis).ok


def test_check_says_when_there_is_no_journal(tmp_path):
    with pytest.raises(StorageError, match="there is no journal"):
        check_journal(tmp_path / FILE_NAME, BUILDER.genesis)


def test_check_bounds_its_findings(path, monkeypatch):
    monkeypatch.setattr(journal_check, "FINDINGS_MAX", 2)
    change(path, "UPDATE vertices SET wire = x'00'")
    report = check_journal(path, BUILDER.genesis)
    assert len(report.findings) == 2
    assert report.findings_dropped == len(BUILDER.vertices) - 2


def test_check_tells_how_far_it_is(path):
    told = []
    check_journal(path, BUILDER.genesis, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(BUILDER.vertices), len(BUILDER.vertices))
