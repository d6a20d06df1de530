"""Results as tables: the same rows in all three forms, the same bytes for the same records."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from simulations.reports import tables
from simulations.reports.extras import MissingExtra, has_extra, import_extra
from simulations.reports.tables import (
    BadTable,
    find_commit,
    find_version,
    make_runs_table,
    make_samples_table,
    make_series_table,
    make_table,
    read_table,
    sort_records,
    write_table,
)
from simulations.results import Record, compute_code_digest
from tests.support.records import make_record, make_records

FORMS = ("parquet", "csv", "jsonl")


def test_runs_table_says_what_made_each_row():
    table = make_runs_table([make_record(3, fanout=2), make_record(1, fanout=2, error="no: luck")])
    failed, done = table.rows
    assert [row["seed"] for row in table.rows] == [1, 3]
    assert (failed["error"], failed["world_fidelity"], failed["metric_share"]) == (
        "no: luck",
        None,
        None,
    )
    assert (done["parameter_fanout"], done["world_fidelity"]) == (2, "cached")
    assert done["code"] == compute_code_digest()
    assert done["version"] == find_version()
    assert list(table.columns)[:4] == ["key", "scenario", "measure", "seed"]


def test_runs_of_other_code_do_not_claim_to_be_of_this_one():
    record = make_record(1)
    other = Record(key="0" * 32, task=record.task, outcome=record.outcome)
    (row,) = make_runs_table([other]).rows
    assert (row["code"], row["commit"], row["version"]) == (None, None, None)


@pytest.mark.parametrize("form", FORMS)
def test_tables_are_read_back_as_they_were_written(tmp_path: Path, form):
    records = [*make_records(), make_record(9, error='a "quoted", line\u2028', fanout=1.5, odd="x")]
    for make in (make_runs_table, make_samples_table, make_series_table):
        table = make(records)
        (path,) = write_table(table, tmp_path, (form,))
        again = read_table(path)
        assert again.rows == table.rows
        assert again.name == table.name


@pytest.mark.parametrize("form", FORMS)
def test_equal_records_give_equal_bytes_in_whatever_order_they_came(tmp_path: Path, form):
    records = make_records()
    paths = [
        write_table(make_runs_table(some), tmp_path / name, (form,))[0]
        for name, some in (("a", records), ("b", [*records[::-1], records[0]]))
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_without_pyarrow_tables_are_csv_and_json_lines(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = make_runs_table(make_records())
    assert [path.name for path in write_table(table, tmp_path)] == ["runs.csv", "runs.jsonl"]
    with pytest.raises(MissingExtra, match="pyarrow is not installed") as raised:
        write_table(table, tmp_path, ("parquet",))
    assert "meshnode[research]" in str(raised.value.hint)
    assert not has_extra("pyarrow")


def test_with_pyarrow_tables_are_parquet(tmp_path: Path):
    assert [path.name for path in write_table(make_runs_table(make_records()), tmp_path)] == [
        "runs.parquet"
    ]
    assert import_extra("pyarrow").__name__ == "pyarrow"


def test_columns_have_one_type():
    table = make_table(
        "mixed",
        [
            {"a": 1, "b": True, "c": 1, "d": 1 << 70, "e": True, "my_key": 7},
            {"a": 2.5, "b": False, "c": "x", "d": 1, "e": 3},
        ],
        ("a",),
    )
    assert table.columns == {
        "a": [1.0, 2.5],
        "b": [True, False],
        "c": ["1", "x"],
        "d": [float(1 << 70), 1.0],
        "e": ["true", "3"],
        "my_key": ["7", None],
    }


def test_json_lines_hold_no_infinity(tmp_path: Path):
    table = make_table("odd", [{"x": float("inf")}, {"x": 1.0}])
    (path,) = write_table(table, tmp_path, ("jsonl",))
    assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == [None, 1.0]


def test_csv_cells_are_numbers_truths_texts_or_nothing(tmp_path: Path):
    path = tmp_path / "some.csv"
    path.write_text("a,b,c,digest,e,f\n1,true,x,12,1.5,\n,false,,13,2,\n", encoding="utf-8")
    assert read_table(path).columns == {
        "a": [1, None],
        "b": [True, False],
        "c": ["x", None],
        "digest": ["12", "13"],
        "e": [1.5, 2.0],
        "f": [None, None],
    }


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", b"", "is no table"),
        ("x.csv", b"a,b\n1\n", "not of one length"),
        ("x.jsonl", b"[1]\n", "holds no object"),
        ("x.jsonl", b"{", "x.jsonl"),
        ("x.parquet", b"none", "x.parquet"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadTable, match=says):
        read_table(path)


def test_empty_tables_are_empty(tmp_path: Path):
    table = make_samples_table([make_record(1, error="x")])
    assert len(table) == 0
    for form in ("csv", "jsonl"):
        (path,) = write_table(table, tmp_path, (form,))
        assert len(read_table(path)) == 0
    (tmp_path / "nothing.csv").write_bytes(b"")
    assert read_table(tmp_path / "nothing.csv").columns == {}


def test_the_commit_is_read_from_a_clone(tmp_path: Path):
    assert find_commit(tmp_path) == ""
    git = tmp_path / "clone" / ".git"
    (git / "refs").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/main\n")
    (git / "refs" / "main").write_text("abc\n")
    assert find_commit(git.parent) == "abc"
    detached = tmp_path / "detached"
    (detached / ".git").mkdir(parents=True)
    (detached / ".git" / "HEAD").write_text("def\n")
    assert find_commit(detached) == "def"


def test_the_version_of_sources_that_are_not_installed_is_unknown(monkeypatch):
    def miss(name):
        raise PackageNotFoundError

    monkeypatch.setattr(tables, "version", miss)
    assert find_version.__wrapped__() == ""


def test_records_stand_in_the_order_of_their_tasks():
    records = [make_record(seed, n=n) for n in (2, "x", 10, 1.5) for seed in (1, 0)]
    ordered = [(record.task.parameters["n"], record.task.seed) for record in sort_records(records)]
    assert ordered == [(1.5, 0), (1.5, 1), (2, 0), (2, 1), (10, 0), (10, 1), ("x", 0), ("x", 1)]
