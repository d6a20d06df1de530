"""The books of what engines used: exact sums, bounded rows, and a writer that never blocks."""

from __future__ import annotations

import threading
from queue import Queue

import pytest

from meshnode import usage_store
from meshnode.engines.usage import Outcome
from meshnode.errors import StorageError
from meshnode.usage_store import FILE_NAME, UsageStore, UsageWriter
from tests.support.metered import DAY_MS, NOW_MS, make_record

TODAY = NOW_MS // DAY_MS


@pytest.fixture
def store(tmp_path):
    with UsageStore(tmp_path) as store:
        yield store


def test_sums_are_kept_by_day_engine_and_model(store):
    store.record(
        make_record(),
        make_record(cached_tokens=4, outcome=Outcome.INTERRUPTED, fault="truncated"),
        make_record(time_ms=NOW_MS - DAY_MS),
        make_record(engine="openrouter", model="moonshotai/kimi-k2", cost_udollar=None),
    )
    sums = store.read_sums()
    assert [(row.day - TODAY, row.engine, row.requests) for row in sums] == [
        (-1, "moonshot", 1),
        (0, "moonshot", 2),
        (0, "openrouter", 1),
    ]
    assert sums[1].cost_udollar == 2_000
    assert (sums[1].failures, sums[1].cached_tokens, sums[1].prompt_tokens) == (1, 4, 20)
    assert (sums[2].cost_udollar, sums[2].unpriced) == (0, 1)
    assert store.read_spent_udollar(TODAY, engine="moonshot") == 2_000
    assert store.read_spent_udollar(TODAY, engine="local") == 0
    assert len(store.read_sums(first_day=TODAY)) == 2


def test_requests_read_back_as_they_were(store):
    records = [
        make_record(request_id="r1", reasoning_tokens=2),
        make_record(
            cost_udollar=None, first_token_ms=None, outcome=Outcome.FAILED, fault="timeout"
        ),
    ]
    store.record(*records)
    assert list(store.read_requests()) == records
    assert list(store.read_requests(first_day=TODAY + 1)) == []


def test_hostile_words_and_numbers_are_bounded(store):
    store.record(make_record(model="m\x1b[2J" + "x" * 500, prompt_tokens=2**70, cached_tokens=-1))
    (record,) = store.read_requests()
    assert record.model.startswith("m[2Jxx")
    assert len(record.model) < 200
    assert (record.prompt_tokens, record.cached_tokens) == (2**62, 0)


def test_rows_are_bounded_and_sums_stay(store, monkeypatch):
    monkeypatch.setattr(usage_store, "REQUESTS_MAX", 3)
    store.record(*(make_record(request_id=str(number)) for number in range(5)))
    assert [record.request_id for record in store.read_requests()] == ["2", "3", "4"]
    assert store.read_sums()[0].requests == 5
    monkeypatch.setattr(usage_store, "SUMS_MAX", 2)
    store.record(*(make_record(time_ms=NOW_MS + day * DAY_MS) for day in range(3)))
    assert [row.day - TODAY for row in store.read_sums()] == [1, 2]


def test_several_processes_may_write(tmp_path):
    with UsageStore(tmp_path) as one, UsageStore(tmp_path) as two:
        for store in (one, two, one):
            store.record(make_record())
        assert one.read_sums()[0].requests == two.read_sums()[0].requests == 3
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_damaged_file_is_named(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="usage store"):
        UsageStore(tmp_path)


def test_failed_write_keeps_nothing(store):
    with pytest.raises(StorageError):
        store.record(make_record(), make_record(latency_ms="x"))
    assert store.read_sums() == []


def test_writer_writes_everything_before_it_ends(tmp_path, store):
    writer = UsageWriter(store)
    for _ in range(50):
        writer.take(make_record())
    writer.close()
    assert store.read_sums()[0].requests == 50
    assert writer.lost == 0


def test_writer_counts_what_it_cannot_keep(store, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(usage_store, "Queue", lambda _: Queue(1))
    monkeypatch.setattr(store, "record", lambda *_: gate.wait())
    writer = UsageWriter(store)
    while not writer.lost:
        writer.take(make_record())
    gate.set()
    writer.close()

    def fail(*_):
        raise StorageError("full")

    monkeypatch.setattr(store, "record", fail)
    broken = UsageWriter(store)
    broken.take(make_record())
    broken.close()
    assert broken.lost == 1
