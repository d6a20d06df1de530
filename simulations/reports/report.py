"""Makes a report of records: tables, pictures, one run looked at closely, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dag.errors import MeshError
from simulations.errors import SimulationError
from simulations.reports.curves import draw
from simulations.reports.extras import HINT, has_extra
from simulations.reports.page import Content, make_page
from simulations.reports.pictures import make_picture
from simulations.reports.recording import Execute, Recording, choose_record, record_run
from simulations.reports.summary import summarise
from simulations.reports.tables import (
    find_commit,
    find_version,
    make_runs_table,
    make_samples_table,
    make_series_table,
    sort_records,
    write_table,
)
from simulations.results import Record, Task, compute_code_digest, compute_digest

if TYPE_CHECKING:
    from simulations.scenarios.schema import Scenario

INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Report:
    """Where a report is."""

    index: Path
    """The page; open it with any browser."""
    files: tuple[Path, ...]
    """All that was written, the page first."""


def write_report(
    records: Sequence[Record],
    scenario: Scenario,
    folder: Path,
    *,
    execute: Execute | None = None,
    records_run: bool = True,
) -> Report:
    """Write everything that records show into a folder.

    Without matplotlib there are no curves, without pyarrow the tables are CSV and JSON lines; the
    page says so.

    Args:
        records: Results of one scenario, in any order.
        scenario: Says what they are of, and which pictures there are.
        folder: Is made where it is missing; files of an earlier report are replaced.
        execute: Runs a task; by default as scenarios do.
        records_run: Whether to run one task again, for the animation, timeline, trace and DAG.

    Raises:
        SimulationError: There are no records, or the folder cannot be written.
    """
    if not records:
        raise SimulationError(
            f"there are no results of {scenario.name!r}", hint="run a sweep of it first"
        )
    ordered = sort_records(records)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _write(ordered, scenario, folder, execute, records_run=records_run)
    except OSError as error:
        raise SimulationError(
            f"cannot write {folder}: {error}", hint="name another folder"
        ) from None


def _write(
    records: Sequence[Record],
    scenario: Scenario,
    folder: Path,
    execute: Execute | None,
    *,
    records_run: bool,
) -> Report:
    files: list[Path] = []
    for make in (make_runs_table, make_samples_table, make_series_table):
        table = make(records)
        if len(table):
            files += write_table(table, folder)
    pictures, note = _draw_pictures(records, scenario, folder, files)
    recording, recording_note = _record(records, folder, execute) if records_run else (None, "")
    if recording is not None:
        files += recording.files
    content = Content(
        title=scenario.title,
        question=scenario.question,
        scenario=scenario.name,
        measure=scenario.measure,
        summary=summarise(records),
        failures=[record for record in records if record.outcome is None],
        pictures=pictures,
        pictures_note=note,
        animation=recording.animation if recording is not None else "",
        animation_note=recording_note,
        lattice=recording.lattice if recording is not None else "",
        made_by=_describe_code(records),
        files=[path.name for path in files],
    )
    index = folder / INDEX
    index.write_text(make_page(content), encoding="utf-8")
    return Report(index, (index, *files))


def _draw_pictures(
    records: Sequence[Record], scenario: Scenario, folder: Path, files: list[Path]
) -> tuple[list[tuple[str, str]], str]:
    if not scenario.plots:
        return [], "This scenario has no pictures."
    if not has_extra("matplotlib"):
        return [], f"matplotlib draws the curves, and is not installed: {HINT}"
    pictures = []
    for number, plot in enumerate(scenario.plots, 1):
        svg, png = draw(make_picture(plot, records), folder, f"{number:02d}-{plot.kind}-{plot.y}")
        files += [svg, png]
        pictures.append((plot.title, svg.read_text(encoding="utf-8")))
    return pictures, ""


def _record(
    records: Sequence[Record], folder: Path, execute: Execute | None
) -> tuple[Recording | None, str]:
    """Look closely at one run, and say which, or why at none."""
    chosen = choose_record(records)
    if chosen is None:
        return None, "No run is small enough to be shown."
    if chosen.key != chosen.task.key:
        return None, "These results were made by other code: run them again to see one."
    try:
        recording = record_run(chosen, folder, execute or _execute)
    except MeshError as error:
        return None, f"The run to be shown could not be recorded: {error.message}"
    return recording, _describe_run(recording)


def _execute(task: Task) -> Record:
    from simulations.scenarios.execute import execute  # pydantic is slow to import

    return execute(task)


def _describe_run(recording: Recording) -> str:
    task = recording.record.task
    chosen = ", ".join(
        f"{name} {value}" for name, value in sorted(task.parameters.items()) if value != ""
    )
    how = (
        "Run again for this page, it gave the same result."
        if recording.is_same
        else "Run again for this page, it gave ANOTHER result: it is not deterministic."
    )
    if not recording.animation:
        how = f"{how} It has no messages to show."
    return " ".join([f"Seed {task.seed}: {chosen}.", how, *(f"{x}." for x in recording.left_out)])


def _describe_code(records: Sequence[Record]) -> list[tuple[str, str]]:
    others = sum(record.key != record.task.key for record in records)
    made = [("digest of all results", compute_digest(list(records)))]
    if others < len(records):
        made += [
            ("library version", find_version() or "not installed"),
            ("git commit", find_commit() or "unknown"),
            ("digest of the code", compute_code_digest()),
        ]
    if others:
        made.append(("made by other code", f"{others:,} runs"))
    return made
