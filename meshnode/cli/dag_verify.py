"""`meshnode dag verify`: vertices, commits and snapshots checked again from their bytes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dag.genesis import compute_network_id
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_id
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, make_console, print_json, say
from meshnode.cli.stores import find_own_store, find_store
from meshnode.config_file import locate_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshnode.cli.stores import StoreLocation
    from meshnode.shell.journal_check import CheckReport
    from meshnode.shell.snapshot_check import Certified


def verify(
    *,
    store: Annotated[
        Path | None,
        Parameter(help="A journal.db, or a copy of a home folder [default: this node's own]."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Check every id, signature and ancestor again; works beside a running node."""
    from meshnode.shell.journal_check import check_journal

    found = find_store(store) if store else find_own_store(locate_home(home, os.environ))
    with _show_progress() as on_progress:
        report = check_journal(found.journal, found.genesis, on_progress=on_progress)
    if json:
        print_json(make_document(found, report))
    else:
        for line in describe_report(found, report):
            say(line)
    return OK if report.ok else FAILED


def describe_report(store: StoreLocation, report: CheckReport) -> list[str]:
    """What a check found, the verdict last."""
    lines = [
        f"bad vertex {finding.vertex}: {clean_line(finding.problem)}"
        if finding.vertex
        else f"bad store: {clean_line(finding.problem)}"
        for finding in report.findings
    ]
    if report.findings_dropped:
        lines.append(f"and {format_count(report.findings_dropped, 'further finding')}")
    if report.dependants:
        stand = "stands" if report.dependants == 1 else "stand"
        lines.append(
            f"{format_count(report.dependants, 'vertex', 'vertices')} {stand} on damaged ones "
            "and could not be checked against the rules"
        )
    lines += _describe_certified(report.certified)
    network = format_id(compute_network_id(store.genesis).hex())
    checked = format_count(report.vertices, "vertex", "vertices")
    if report.ok:
        verdict = f"ok: {checked} of network {network} checked, every signature holds"
        if report.commits:
            commits = format_count(report.commits, "commit")
            lines.append(f"{commits}: each follows from the one before, up to the recorded one")
    else:
        verdict = (
            f"damaged: {format_count(len(report.findings), 'finding')} in {checked} of network "
            f"{network}; restore a backup, or remove the store and let the mesh send it again"
        )
    return [*lines, verdict]


def _describe_certified(certified: Certified) -> list[str]:
    """What is believed because validators signed it."""
    if not certified.commit:
        return []
    share = f"stake {certified.stake} of {certified.total}"
    believed = (
        f"commit {certified.commit} is certified by {share}: the state behind it, and the history "
        f"up to lamport {certified.floor.speech} (blocks {certified.floor.blocks}), are believed and not re-derived"
    )
    lines = [believed]
    pruned = certified.pruned
    if pruned.highest:
        lines.append(
            f"history up to lamport {pruned.speech} (blocks {pruned.blocks}) is not held here, but "
            "for what is needed by name"
        )
    return lines


def make_document(store: StoreLocation, report: CheckReport) -> dict[str, Any]:
    """What a check found, as JSON types."""
    return {
        "schema": "meshnode.verify/1",
        "ok": report.ok,
        "store": str(store.journal),
        "network": compute_network_id(store.genesis).hex(),
        "vertices": report.vertices,
        "commits": report.commits,
        "certified": {
            "commit": report.certified.commit,
            "stake": report.certified.stake,
            "total": report.certified.total,
            "floor_lamport": report.certified.floor.speech,
            "floor_block_lamport": report.certified.floor.blocks,
            "pruned_lamport": report.certified.pruned.speech,
            "pruned_block_lamport": report.certified.pruned.blocks,
        }
        if report.certified.commit
        else None,
        "findings": [
            {"vertex": finding.vertex or None, "problem": finding.problem}
            for finding in report.findings
        ],
        "findings_dropped": report.findings_dropped,
        "dependants": report.dependants,
    }


@contextmanager
def _show_progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr where a person watches, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True) as progress:
        task = progress.add_task("checking", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
