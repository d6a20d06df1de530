"""Carries out the tasks of `run` and `sweep`, with a bar while it goes on."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from simulations.commands.console import BROKEN, CLEAN, INTERRUPTED, make_progress, note
from simulations.sweeps.shard import WHOLE, Shard
from simulations.sweeps.sweep import Progress, Summary
from simulations.sweeps.sweep import sweep as sweep_tasks

if TYPE_CHECKING:
    from simulations.results import Record, Task
    from simulations.sweeps.engines import Engine
    from simulations.sweeps.store import Store

FAILURES_SHOWN_MAX: Final = 10


def carry_out(
    options: Namespace,
    name: str,
    tasks: Sequence[Task],
    engine: Engine,
    store: Store,
    *,
    shard: Shard = WHOLE,
    retry_failed: bool = False,
) -> tuple[Summary, float]:
    """Run what has no result yet, and show it; answers the time it took in seconds, too."""
    from simulations.scenarios.execute import execute

    begun_s = time.monotonic()
    with make_progress(options) as progress:
        bar = progress.add_task(name, total=None)
        shown = 0

        def tell(state: Progress, record: Record | None) -> None:
            nonlocal shown
            progress.update(bar, total=state.total, completed=state.done)
            if record is not None and record.error and shown < FAILURES_SHOWN_MAX:
                shown += 1
                note(progress, f"seed {record.task.seed} failed: {record.error}")

        summary = sweep_tasks(
            tasks, execute, engine, store, shard=shard, retry_failed=retry_failed, tell=tell
        )
    return summary, time.monotonic() - begun_s


def tell_summary(name: str, summary: Summary, took_s: float) -> str:
    """The closing line of many runs."""
    how = "interrupted" if summary.interrupted else "done"
    count = f"{summary.done} of {summary.total}" if summary.interrupted else str(summary.done)
    return (
        f"{how}: {count} runs of {name}, {summary.failed} failed, {summary.resumed} resumed, "
        f"{took_s:.1f} s, digest {summary.digest}"
    )


def get_exit_code(summary: Summary) -> int:
    """The exit code of many runs."""
    if summary.interrupted:
        return INTERRUPTED
    return BROKEN if summary.failed else CLEAN
