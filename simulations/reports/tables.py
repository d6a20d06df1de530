"""Results as tables: Parquet where pyarrow is installed, and CSV and JSON lines without it.

Rows stand in the order of their tasks, whoever computed them first, and files hold no time and no
machine: equal records give equal bytes.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

from simulations.errors import SimulationError
from simulations.reports.extras import has_extra, import_extra
from simulations.results import Record, Value, compute_code_digest

Cell = Value | None
Format = Literal["parquet", "csv", "jsonl"]
INTEGER_MAX: Final = (1 << 63) - 1
ROOT: Final = Path(__file__).resolve().parents[2]
TEXTS: Final = ("key", "digest", "code", "commit", "scenario", "measure", "error", "vertex", "kind")
"""Ends of the names of columns that hold text even where it looks like a number."""


class BadTable(SimulationError):
    """A file holds no table that can be read."""

    code = "bad_table"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, each of one type; None where a row has no value."""

    name: str
    columns: Mapping[str, Sequence[Cell]]

    @property
    def rows(self) -> list[dict[str, Cell]]:
        """The table line by line."""
        names = list(self.columns)
        return [
            dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True)
        ]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


# --- making them -----------------------------------------------------------------------------------


def sort_records(records: Iterable[Record]) -> list[Record]:
    """Records in the order of their tasks; each once."""
    distinct = {record.key: record for record in records}

    def place(record: Record) -> tuple[object, ...]:
        task = record.task
        parameters = [(name, _rank(value)) for name, value in sorted(task.parameters.items())]
        return (task.scenario, task.measure, parameters, task.seed, record.key)

    return sorted(distinct.values(), key=place)


def _rank(value: Value) -> tuple[int, float, str]:
    """Numbers before texts, so that mixed values have an order."""
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def make_runs_table(records: Iterable[Record]) -> Table:
    """One row per run: what it was, what made it, and every number that came of it."""
    rows: list[dict[str, Cell]] = []
    for record in sort_records(records):
        task, outcome = record.task, record.outcome
        is_ours = record.key == task.key
        row: dict[str, Cell] = {
            "key": record.key,
            "scenario": task.scenario,
            "measure": task.measure,
            "seed": task.seed,
            "code": compute_code_digest() if is_ours else None,
            "commit": find_commit() or None if is_ours else None,
            "version": find_version() if is_ours else None,
            "error": record.error,
            "digest": record.digest,
        }
        row |= {f"parameter_{name}": value for name, value in task.parameters.items()}
        if outcome is not None:
            row |= {f"world_{name}": value for name, value in outcome.world.items()}
            row |= {f"metric_{name}": value for name, value in outcome.metrics.items()}
        rows.append(row)
    return make_table("runs", rows)


def make_samples_table(records: Iterable[Record]) -> Table:
    """One row per value of a distribution: key, name, value."""
    rows: list[dict[str, Cell]] = [
        {"key": record.key, "seed": record.task.seed, "sample": name, "value": value}
        for record in sort_records(records)
        if record.outcome is not None
        for name, values in sorted(record.outcome.samples.items())
        for value in values
    ]
    return make_table("samples", rows, ("key", "seed", "sample", "value"))


def make_series_table(records: Iterable[Record]) -> Table:
    """One row per point of a curve over time: key, name, x, y."""
    rows: list[dict[str, Cell]] = [
        {"key": record.key, "seed": record.task.seed, "series": name, "x": x, "y": y}
        for record in sort_records(records)
        if record.outcome is not None
        for name, points in sorted(record.outcome.series.items())
        for x, y in points
    ]
    return make_table("series", rows, ("key", "seed", "series", "x", "y"))


def make_table(name: str, rows: Sequence[Mapping[str, Cell]], columns: Iterable[str] = ()) -> Table:
    """A table of rows that need not all have the same columns; new columns keep their order."""
    names = dict.fromkeys(columns)
    for row in rows:
        names.update(dict.fromkeys(row))
    ordered = sorted(names, key=_group) if not columns else list(names)
    return Table(
        name, {column: _settle(column, [row.get(column) for row in rows]) for column in ordered}
    )


def _group(column: str) -> tuple[int, str]:
    """Facts first, then parameters, world and metrics, each by name: no row decides the order."""
    for number, prefix in enumerate(("parameter_", "world_", "metric_"), 1):
        if column.startswith(prefix):
            return number, column
    return 0, ""


def _settle(column: str, cells: list[Cell]) -> list[Cell]:
    """Give a column one type: truth, whole numbers, numbers, or text."""
    known = [cell for cell in cells if cell is not None]
    is_text = _is_text(column) or any(isinstance(cell, str) for cell in known)
    if not is_text and all(isinstance(cell, bool) for cell in known):
        return cells
    if is_text or any(isinstance(cell, bool) for cell in known):
        return [None if cell is None else _show(cell) for cell in cells]
    if all(isinstance(cell, int) and abs(cell) <= INTEGER_MAX for cell in known):
        return cells
    return [None if cell is None else float(cell) for cell in cells]


def _is_text(column: str) -> bool:
    return not column.startswith("metric_") and column.rsplit("_", 1)[-1] in TEXTS


@functools.cache
def find_version() -> str:
    """The library's version; empty where it runs without having been installed."""
    try:
        return version("meshnode")
    except PackageNotFoundError:
        return ""


@functools.cache
def find_commit(root: Path = ROOT) -> str:
    """The git commit of the sources; empty outside a clone."""
    try:
        head = (root / ".git" / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head
        return (root / ".git" / head[5:]).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


# --- files ----------------------------------------------------------------------------------------


def write_table(table: Table, folder: Path, formats: Sequence[Format] = ()) -> list[Path]:
    """Write a table; by default as Parquet, or as CSV and JSON lines without pyarrow."""
    chosen = formats or (("parquet",) if has_extra("pyarrow") else ("csv", "jsonl"))
    writers = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_jsonl}
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for form in chosen:
        path = folder / f"{table.name}.{form}"
        writers[form](table, path)
        paths.append(path)
    return paths


def _write_parquet(table: Table, path: Path) -> None:
    pyarrow = import_extra("pyarrow")
    parquet = import_extra("pyarrow.parquet")
    columns = {name: pyarrow.array(list(cells)) for name, cells in table.columns.items()}
    parquet.write_table(pyarrow.table(columns), path, compression="zstd", compression_level=9)


def _write_csv(table: Table, path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row in zip(*table.columns.values(), strict=True):
        writer.writerow([_show(cell) for cell in row])
    path.write_text(text.getvalue(), encoding="utf-8")


def _show(cell: Cell) -> str:
    if cell is None:
        return ""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _write_jsonl(table: Table, path: Path) -> None:
    lines = [json.dumps(_make_finite(row), ensure_ascii=False) for row in table.rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _make_finite(row: Mapping[str, Cell]) -> dict[str, Cell]:
    """JSON has no infinity; where there is none, a table has no value."""
    return {
        name: None if isinstance(cell, float) and not math.isfinite(cell) else cell
        for name, cell in row.items()
    }


def read_table(path: Path) -> Table:
    """Read a table back, whichever of the three forms it has. Raises `BadTable`."""
    readers = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
    reader = readers.get(path.suffix)
    if reader is None:
        raise BadTable(f"{path} is no table", hint="give a .parquet, .csv or .jsonl file")
    try:
        return Table(path.stem, reader(path))
    except (OSError, ValueError) as error:
        raise BadTable(f"{path}: {error}", hint="write the report again") from None


def _read_parquet(path: Path) -> dict[str, list[Cell]]:
    columns: dict[str, list[Cell]] = (
        import_extra("pyarrow.parquet").ParquetFile(path).read().to_pydict()
    )
    return columns


def _read_csv(path: Path) -> dict[str, list[Cell]]:
    with path.open(encoding="utf-8", newline="") as lines:
        header, *rows = list(csv.reader(lines)) or [[]]
    if any(len(row) != len(header) for row in rows):
        raise ValueError("its rows are not of one length")
    return {name: _parse(name, [row[place] for row in rows]) for place, name in enumerate(header)}


def _parse(column: str, cells: Sequence[str]) -> list[Cell]:
    known = [cell for cell in cells if cell]
    if _is_text(column) or not known:
        return [*cells] if column == "error" else [cell or None for cell in cells]
    if all(cell in ("true", "false") for cell in known):
        return [cell == "true" if cell else None for cell in cells]
    for kind in (int, float):
        try:
            return [kind(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _read_jsonl(path: Path) -> dict[str, list[Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line holds no object")
    return {name: [row.get(name) for row in rows] for name in (rows[0] if rows else {})}
