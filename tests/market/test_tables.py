"""Tables: the digest depends on the records alone, and costs only what has changed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.canonical import encode
from market import tables
from market.tables import Table, load_table


class Row(msgspec.Struct, array_like=True):
    value: int


keys = st.sampled_from([bytes([first, second]) * 2 for first in (0, 1) for second in (0, 1, 2)])
steps = st.lists(st.tuples(keys, st.integers(-1, 5), st.booleans()), max_size=30)


def run(changes: list, table: Table[Row]) -> dict[bytes, int]:
    model: dict[bytes, int] = {}
    for key, value, look in changes:
        if value < 0:
            if key in table:
                table.drop(key)
            model.pop(key, None)
        elif key in table:
            row = table.edit(key) if look else table.by_key[key]
            table.note_change(key)
            row.value = value
            model[key] = value
        else:
            table.put(key, Row(value))
            model[key] = value
        if look:
            table.digest()
    return model


@given(steps)
def test_digest_depends_on_the_records_alone(changes: list):
    table: Table[Row] = Table()
    model = run(changes, table)
    fresh: Table[Row] = load_table(tuple((key, Row(model[key])) for key in model))
    assert table.digest() == fresh.digest()
    assert {key: row.value for key, row in table.items()} == model
    assert [key for key, _ in table.dump()] == sorted(model)
    assert len(table) == len(model) == len(table.rows())


def test_digest_differs_when_a_record_or_its_key_does():
    digests = [
        load_table(rows).digest()
        for rows in [(), ((b"aa", Row(1)),), ((b"aa", Row(2)),), ((b"ab", Row(1)),)]
    ]
    assert len(set(digests)) == 4


def test_digest_reads_only_what_has_changed(monkeypatch: pytest.MonkeyPatch):
    table = load_table(tuple((number.to_bytes(4, "big"), Row(number)) for number in range(1_000)))
    table.digest()
    calls: list[object] = []

    def count(row: object) -> bytes:
        calls.append(row)
        return encode(row)

    monkeypatch.setattr(tables, "encode", count)
    table.edit((5).to_bytes(4, "big")).value = 0
    table.digest()
    assert len(calls) == 1


def test_record_that_is_not_there_is_none_or_an_error():
    table: Table[Row] = Table()
    assert table.get(b"aa") is None
    with pytest.raises(KeyError):
        table.edit(b"aa")


@given(steps)
def test_watcher_is_told_of_every_change_once_whoever_takes_digests(changes: list):
    table: Table[Row] = Table()
    table.put(b"old!", Row(1))
    table.watch()
    assert list(table.take_changes()) == [b"old!"]
    run(changes, table)
    assert list(table.take_changes()) == list(dict.fromkeys(list_touched(changes)))
    assert list(table.take_changes()) == []


def list_touched(changes: list) -> list[bytes]:
    present: dict[bytes, None] = {}
    touched = []
    for key, value, _ in changes:
        if value >= 0 or key in present:
            touched.append(key)
        if value < 0:
            present.pop(key, None)
        else:
            present[key] = None
    return touched
