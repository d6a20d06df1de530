"""Only what was synced is sure to survive."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.identity import VerifiedVertex
from meshnode.core.effects import StoreValue, StoreVertex
from simulations.disk import Disk, Past
from tests.support.dag_builder import DagBuilder

VERTICES = DagBuilder(authors=3).profiles().layer().vertices


def store(signed: VerifiedVertex) -> StoreVertex:
    return StoreVertex(signed.id, signed.wire)


def test_what_was_synced_comes_back_in_order():
    disk = Disk()
    for signed in VERTICES:
        disk.append([store(signed), StoreValue("last", signed.id)])
    disk.append([StoreValue("gone", b"x"), StoreValue("gone", b"")])
    disk.sync()
    disk.crash(random.Random(1))
    recovered = disk.recover()
    assert [signed.id for signed in recovered.vertices] == [signed.id for signed in VERTICES]
    assert recovered.values == {"last": VERTICES[-1].id}
    assert disk.stored_ids() == tuple(signed.id for signed in VERTICES)
    assert disk.read(VERTICES[0].id) == VERTICES[0].wire
    assert (disk.torn, disk.syncs, disk.unsynced_bytes) == (0, 1, 0)


@given(synced=st.integers(0, 6), seed=st.integers(0, 10_000))
def test_a_crash_keeps_the_synced_and_some_whole_transactions_after_it(synced: int, seed: int):
    disk = Disk()
    for number, signed in enumerate(VERTICES):
        disk.append([store(signed)])
        if number + 1 == synced:
            disk.sync()
    disk.crash(random.Random(seed))
    kept = [signed.id for signed in disk.recover().vertices]
    assert kept == [signed.id for signed in VERTICES[: len(kept)]]
    assert len(kept) >= synced
    assert disk.read(VERTICES[-1].id) == (VERTICES[-1].wire if len(kept) == 6 else None)


def test_crashes_tear_the_last_write():
    torn = 0
    for seed in range(50):
        disk = Disk()
        disk.append([store(VERTICES[0])])
        disk.crash(random.Random(seed))
        torn += disk.torn
        assert disk.size_bytes == 0 or disk.torn == 0
    assert torn > 25


def test_a_torn_disk_can_be_written_again():
    disk = Disk()
    disk.append([store(VERTICES[0])])
    disk.sync()
    disk.append([store(VERTICES[1])])
    disk.crash(random.Random(3))
    disk.recover()
    disk.append([StoreValue("after", b"crash")])
    disk.sync()
    assert disk.recover().values == {"after": b"crash"}


def test_an_unsynced_value_may_be_lost_altogether():
    outcomes = []
    for seed in range(20):
        disk = Disk()
        disk.append([StoreValue("a", b"1"), StoreValue("b", b"2")])
        disk.crash(random.Random(seed))
        outcomes.append(len(disk.recover().values))
    assert outcomes.count(0) > 0
    assert 1 not in outcomes, "a transaction is there completely or not at all"


@pytest.mark.parametrize("flip", [8, 20])
def test_recovery_stops_at_a_broken_record(flip: int):
    disk = Disk()
    disk.append([store(VERTICES[0])])
    disk.sync()
    disk._log[flip] ^= 1
    assert disk.recover().vertices == ()


def test_an_old_copy_holds_the_first_transactions_only():
    disk = Disk()
    for number, signed in enumerate(VERTICES[:4]):
        disk.append([store(signed), StoreValue("count", bytes([number]))])
    disk.sync()
    assert [*disk.newest_wires()] == [signed.wire for signed in reversed(VERTICES[:4])]
    assert disk.read_value("count") == b"\x03"
    disk.take_back(50)
    assert disk.unsynced_bytes == 0
    recovered = disk.recover()
    assert [signed.id for signed in recovered.vertices] == [signed.id for signed in VERTICES[:2]]
    assert (disk.read_value("count"), disk.read_value("none")) == (b"\x01", b"")


def test_a_past_stands_before_the_log_and_survives_every_crash():
    past = Past(VERTICES[:3])
    disk, other = Disk(past), Disk(past)
    disk.append([store(signed) for signed in VERTICES[3:]])
    assert disk.vertex_count == len(VERTICES)
    assert list(disk.newest_wires()) == [signed.wire for signed in reversed(VERTICES)]
    assert disk.stored_ids() == tuple(signed.id for signed in VERTICES)
    disk.crash(random.Random(1))
    disk.take_back(0)
    assert [signed.id for signed in disk.recover().vertices] == list(past.wires)
    assert disk.read(VERTICES[0].id) == other.read(VERTICES[0].id) == VERTICES[0].wire
    assert disk.read(VERTICES[-1].id) is None
    assert (other.vertex_count, other.size_bytes) == (3, 0)
