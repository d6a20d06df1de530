"""Checking a journal's snapshots: what a quorum stands for is told, and what is false is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from msgspec.structs import replace as change

from consensus.checkpoint import decode_header, encode_header
from dag.authors import is_first_profile
from dag.intake import Intake
from meshnode.core.effects import StoreSnapshot, StoreValue, StoreVertex
from meshnode.core.recovered import (
    PRUNED_KEY,
    decode_chain,
    decode_pruned,
    encode_chain,
    read_header,
)
from meshnode.shell.journal_check import check_journal
from meshnode.shell.snapshot_check import check_snapshots
from meshnode.shell.store import FILE_NAME, Store
from tests.support.core_net import CoreNet
from tests.support.horizons import level

EVERY = 10


@pytest.fixture(scope="module")
def host():
    """A validator on its own that has pruned most of what it said."""
    genesis = CoreNet(1).genesis
    parameters = change(genesis.parameters, checkpoint_commits=EVERY, gc_commits=EVERY)
    net = CoreNet(1, validates=True, genesis=change(genesis, parameters=parameters))
    (host,) = net.hosts
    host.settings = replace(host.settings, prunes=True)
    net.start(net.hosts)
    while len(host.snapshots) < 2 or not read_header(host.snapshots[0]).floor.lowest:
        host.publish(b"note")
        net.run(100)
    return host


def write(folder, host, *, snapshots=None, vertices=None):
    """The journal of a host, as its shell would have written it."""
    store = Store.open(folder, host.net.network)
    store.append([StoreVertex(each.id, each.wire) for each in vertices or host.journal.values()])
    store.append([StoreValue(key, value) for key, value in host.values.items()])
    for snapshot in host.snapshots if snapshots is None else snapshots:
        store.append([StoreSnapshot(snapshot, 2)])
    store.close()
    return folder / FILE_NAME


def check(path, host):
    return check_journal(path, host.settings.genesis)


def test_what_a_quorum_stands_for_is_told(tmp_path, host):
    report = check(write(tmp_path, host), host)
    assert report.ok, report.findings
    certified, newest = report.certified, host.snapshots[-1]
    assert certified.commit == newest.index
    assert (certified.stake, certified.total) == (1, 1)
    assert certified.floor == read_header(newest).floor
    assert certified.pruned == decode_pruned(host.values[PRUNED_KEY])
    assert certified.pruned.lowest > 0
    assert sorted(certified.digests) == [snapshot.index for snapshot in host.snapshots]


def spoil(data, position=-1):
    return data[:position] + bytes([data[position] ^ 1]) + data[position:][1:]


def forge(snapshot):
    """The last vote of its chain, signed by nobody."""
    *before, last = decode_chain(snapshot.chain)
    blocks = (*last.blocks[:-1], spoil(last.blocks[-1]))
    return change(snapshot, chain=encode_chain((*before, change(last, blocks=blocks))))


def claim(snapshot):
    """A higher floor than the one that was voted for."""
    *before, last = decode_chain(snapshot.chain)
    header = encode_header(change(decode_header(last.header), floor=level(10**6)))
    return change(snapshot, chain=encode_chain((*before, change(last, header=header))))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (forge, "signature of vote"),
        (claim, "does not vote for the snapshot"),
        (lambda it: change(it, parts=(spoil(it.parts[0]), *it.parts[1:])), "the bytes of part"),
        (lambda it: change(it, parts=it.parts[:-1]), "that of another snapshot"),
        (lambda it: change(it, index=it.index + 1), "that of another snapshot"),
        (lambda it: change(it, chain=b"\xc1"), "snapshot"),
    ],
)
def test_a_snapshot_that_a_newcomer_would_refuse_is_named(tmp_path, host, damage, words):
    older, newest = host.snapshots
    report = check(write(tmp_path, host, snapshots=(older, damage(newest))), host)
    assert any(words in finding.problem for finding in report.findings), report.findings
    assert report.certified.commit == older.index


def test_history_that_is_gone_without_a_snapshot_is_named(tmp_path, host):
    report = check(write(tmp_path, host, snapshots=()), host)
    assert any("no sound snapshot stands for it" in each.problem for each in report.findings)
    assert not report.certified.commit


def test_a_pinned_vertex_that_is_missing_is_named(tmp_path, host):
    profile = next(each for each in host.journal.values() if is_first_profile(each.vertex))
    rest = [each for each in host.journal.values() if each.id != profile.id]
    report = check(write(tmp_path, host, vertices=rest), host)
    assert any("pins vertex" in finding.problem for finding in report.findings)


def test_voters_whose_keys_are_not_known_are_named(tmp_path, host):
    found: list[str] = []
    with closing(Store.open_readonly(write(tmp_path, host))) as store:
        genesis = CoreNet(2).genesis
        strangers = change(genesis, founders=genesis.founders[1:], committee=genesis.committee[1:])
        check_snapshots(store, host.settings.genesis, Intake(strangers), found.append)
    assert ["its profile is not stored" in problem for problem in found] == [True, True, False]


@pytest.mark.parametrize("table", ["snapshots", "named_values"])
def test_tables_of_something_else_are_findings(tmp_path, host, table):
    path = write(tmp_path, host)
    column = "data" if table == "snapshots" else "value"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = 7")
    assert not check(path, host).ok


def test_a_store_that_has_no_snapshots_is_sound(tmp_path, host):
    (first, *_) = host.journal.values()
    path = write(tmp_path, host, snapshots=(), vertices=[first])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM named_values")
    report = check(path, host)
    assert report.ok
    assert not report.certified.commit
