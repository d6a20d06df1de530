"""A sweep: what is done is skipped, the rest is run, and every result is kept as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import msgspec

from simulations.errors import SimulationError
from simulations.results import Record, Task, compute_digest
from simulations.sweeps.engines import Engine, Failure
from simulations.sweeps.shard import WHOLE, Shard
from simulations.sweeps.store import Store


class Progress(msgspec.Struct, kw_only=True):
    """How far a sweep is; `total` is known before the first run."""

    total: int
    resumed: int = 0
    """Done by an earlier sweep."""
    run: int = 0
    failed: int = 0
    """Runs with an error instead of an outcome, those of earlier sweeps too."""
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Runs that have a result."""
        return self.resumed + self.run

    def count(self, record: Record, *, resumed: bool) -> None:
        """Take in a result."""
        self.failed += record.outcome is None
        self.resumed += resumed
        self.run += not resumed


class Summary(Progress):
    """What a sweep came to."""

    digest: str = ""
    """Of all results there are of its tasks, resumed ones too; equal whatever engine made them."""


Tell = Callable[[Progress, Record | None], None]
"""Hears of every new result; of the start too, then without one."""


def sweep(
    tasks: Iterable[Task],
    function: Callable[[Task], Record],
    engine: Engine,
    store: Store,
    *,
    shard: Shard = WHOLE,
    retry_failed: bool = False,
    tell: Tell | None = None,
) -> Summary:
    """Run what has no result yet; Ctrl-C ends it early, and what is done is kept.

    Raises `SimulationError` if results cannot be kept, or a worker runs other sources.
    """
    wanted = {key: task for task in tasks if shard.has(key := task.key)}
    summary = Summary(total=len(wanted))
    todo: list[Task] = []
    for key, task in wanted.items():
        known = store.find(key)
        if known is None or (retry_failed and known.outcome is None):
            todo.append(task)
        else:
            summary.count(known, resumed=True)
    if tell is not None:
        tell(summary, None)
    try:
        for record in _run(todo, function, engine):
            store.add(record)
            summary.count(record, resumed=False)
            if tell is not None:
                tell(summary, record)
    except KeyboardInterrupt:
        summary.interrupted = True
    summary.digest = compute_digest(collect(wanted, store))
    return summary


def collect(keys: Iterable[str], store: Store) -> Iterator[Record]:
    """The results there are of keys."""
    for key in keys:
        record = store.find(key)
        if record is not None:
            yield record


def _run(todo: list[Task], function: Callable[[Task], Record], engine: Engine) -> Iterator[Record]:
    with closing(engine.map_tasks(function, todo)) as attempts:
        for attempt in attempts:
            result, task = attempt.result, attempt.item
            if isinstance(result, Failure):
                yield Record(key=task.key, task=task, error=result.message)
            elif result.key == task.key:
                yield result
            else:
                raise SimulationError(
                    "a worker's sources differ from those here, so its results do too",
                    hint="bring all machines to the same version",
                )
