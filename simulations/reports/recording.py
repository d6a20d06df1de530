"""Runs one task again with everybody looking on: its timeline, its trace, and what to show of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulations.observers import Observer, invite
from simulations.reports.animation import CARRIERS_MAX, NODES_MAX, Animation
from simulations.reports.tables import sort_records, write_table
from simulations.reports.timeline import Timeline
from simulations.reports.trace import Trace
from simulations.results import Record, Task

if TYPE_CHECKING:
    from simulations.world import World

EVENTS_MAX: Final = 400_000
"""Runs of more events are not run again for pictures."""

NODES_SEEN_MAX: Final = 40

Execute = Callable[[Task], Record]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one run left behind."""

    record: Record
    is_same: bool
    """Whether the run, looked at, gave what it had given before."""
    animation: str
    """The document of the animated topology; empty where there is nothing to see."""
    lattice: str
    """An SVG of the DAG of the host that holds most; empty where there are no hosts."""
    left_out: tuple[str, ...]
    """What the caps cut off, one line each."""
    files: tuple[Path, ...]


class _Guide(Observer):
    """Remembers the world that a measurement made."""

    def __init__(self) -> None:
        self.world: World | None = None

    def on_added(self, world: World) -> None:
        self.world = world


def choose_record(records: Sequence[Record]) -> Record | None:
    """The run to look at; None where all are too large.

    A mesh whose nodes can be told apart shows more than a crowd, and one that is shown to its end
    more than a large one that is cut off.
    """

    def rank(record: Record) -> tuple[bool, int, bool, int]:
        nodes, events = _count(record, "nodes"), _count(record, "events")
        is_crowd, is_cut_off = nodes > NODES_SEEN_MAX, events > CARRIERS_MAX
        return (
            is_crowd,
            nodes if is_crowd else -nodes,
            is_cut_off,
            events if is_cut_off else -events,
        )

    small = [
        record
        for record in sort_records(records)
        if record.outcome is not None
        and 0 < _count(record, "events") <= EVENTS_MAX
        and _count(record, "nodes") <= NODES_MAX
    ]
    return min(small, key=rank, default=None)


def _count(record: Record, name: str) -> int:
    found = record.outcome.world.get(name, 0) if record.outcome is not None else 0
    return int(found) if isinstance(found, int | float) else 0


def record_run(record: Record, folder: Path, execute: Execute) -> Recording:
    """Run a record's task again, and write what is seen of it."""
    guide, animation, timeline, trace = _Guide(), Animation(), Timeline(), Trace()
    with invite(guide, animation, timeline, trace):
        again = execute(record.task)
    if guide.world is None:  # a measurement without a world
        return Recording(record, again == record, "", "", (), ())
    folder.mkdir(parents=True, exist_ok=True)
    files = [timeline.write(folder / "timeline.json"), *write_table(trace.table, folder)]
    lattice = _draw_lattice(guide.world)
    if lattice:
        path = folder / "dag.svg"
        path.write_text(lattice, encoding="utf-8")
        files.append(path)
    shown = (
        json.dumps(animation.make_document(), separators=(",", ":")) if animation.is_shown else ""
    )
    missed = {
        "animation": animation.left_out,
        "timeline": timeline.left_out,
        "trace": trace.left_out,
    }
    return Recording(
        record,
        again == record,
        shown,
        lattice,
        tuple(
            f"{name}: {count:,} events left out at its limit"
            for name, count in missed.items()
            if count
        ),
        tuple(files),
    )


def _draw_lattice(world: World) -> str:
    from simulations.reports.lattice import draw_store  # networkx is slow to import

    hosts = [host for host in world.hosts if host.disk.vertex_count]
    if not hosts:
        return ""
    return draw_store(max(hosts, key=lambda host: (host.disk.vertex_count, -host.index)))
