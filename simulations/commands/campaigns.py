"""What `fuzz` and `fuzz-order` do alike: go through seeds, keep results, and end with a word."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from simulations.commands.console import (
    BROKEN,
    CLEAN,
    INTERRUPTED,
    make_progress,
    say,
    write_json,
)
from simulations.sweeps.choice import default_workers

if TYPE_CHECKING:
    from rich.progress import Progress

    from simulations.fuzzing.result_file import ResultFile


def list_seeds(options: Namespace) -> range:
    """The seeds that were asked for."""
    return range(options.first_seed, options.first_seed + options.seeds)


def write_end(summary: Any, how: str, took_s: float, **more: object) -> None:
    """Print how a campaign ended as one JSON document."""
    ended = {"interrupted": how == "interrupted", "took_s": round(took_s, 1)}
    write_json(msgspec.to_builtins(summary, str_keys=True) | more | ended)


def run_campaign(
    options: Namespace,
    name: str,
    *,
    results: ResultFile[Any],
    summary: Any,
    run: Callable[[int], Generator[Any, None, None]],
    on_broken: Callable[[Progress, Any], None],
    close: Callable[[str, float], None],
) -> int:
    """Run what has no result yet; answers the exit code.

    Args:
        options: `seeds`, `first_seed`, `workers`, `json`.
        name: What the progress bar is called.
        results: Known results, and where new ones go.
        summary: Takes each result with `add`, and says whether all `is_clean`.
        run: Carries out the missing runs with so many workers.
        on_broken: Tells of a run that broke a promise.
        close: Shows how it ended (`clean`, `NOT clean`, `interrupted`) and after how many seconds.
    """
    seeds = list_seeds(options)
    workers = options.workers or default_workers()
    say(options, f"seeds {seeds.start} to {seeds.stop - 1}, {workers} workers")
    for result in results.find_known(seeds):
        summary.add(result)
    begun_s = time.monotonic()
    interrupted = False
    with make_progress(options) as progress, closing(run(workers)) as found:
        bar = progress.add_task(name, total=len(seeds), completed=summary.runs)
        try:
            for result in found:
                results.add(result)
                summary.add(result)
                progress.update(bar, advance=1)
                if result.check:
                    on_broken(progress, result)
        except KeyboardInterrupt:
            interrupted = True
    clean = "clean" if summary.is_clean else "NOT clean"
    close("interrupted" if interrupted else clean, time.monotonic() - begun_s)
    if interrupted:
        return INTERRUPTED
    return CLEAN if summary.is_clean else BROKEN
