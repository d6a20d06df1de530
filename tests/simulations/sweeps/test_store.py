"""Results on disk: whole or not at all, and only under their own names."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.errors import SimulationError
from simulations.sweeps.store import Store
from tests.support.sweep_tasks import make_tasks, square

RECORDS = [square(task) for task in make_tasks(3)]


def find_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_store_gives_back_what_was_added(tmp_path: Path):
    store = Store(tmp_path / "results")
    assert list(store) == []
    for record in RECORDS:
        assert store.find(record.key) is None
        store.add(record)
        store.add(record)
        assert store.find(record.key) == record
    assert list(store) == sorted(RECORDS, key=lambda record: record.key)
    key = RECORDS[0].key
    assert tmp_path / "results" / key[:2] / f"{key}.json" in find_files(tmp_path)
    assert len(find_files(tmp_path)) == 3


def test_store_ignores_torn_and_foreign_files(tmp_path: Path):
    store = Store(tmp_path)
    for record in RECORDS:
        store.add(record)
    torn, foreign, whole = (tmp_path / one.key[:2] / f"{one.key}.json" for one in RECORDS)
    torn.write_bytes(torn.read_bytes()[:-20])
    foreign.write_bytes(whole.read_bytes())
    (whole.parent / "notes.json").write_text("[]")
    (tmp_path / "notes.txt").write_text("mine")
    assert list(store) == [RECORDS[2]]
    assert store.find(RECORDS[0].key) is None
    assert store.find(RECORDS[1].key) is None


def test_store_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(SimulationError, match="No space left"):
        Store(tmp_path).add(RECORDS[0])
    assert find_files(tmp_path) == []


def test_store_says_what_cannot_be_read(tmp_path: Path):
    key = RECORDS[0].key
    (tmp_path / key[:2] / f"{key}.json").mkdir(parents=True)
    with pytest.raises(SimulationError, match="cannot be read"):
        Store(tmp_path).find(key)
