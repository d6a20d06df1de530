"""Tiny tasks, and functions that carry them out well or badly; importable by worker processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

from simulations import results
from simulations.results import Outcome, Record, Task


def pin_sources() -> None:
    """Name the sources by a constant: keys hold although somebody edits while tests run."""
    results.compute_code_digest.cache_clear()
    vars(results)["CODE"] = ()


def make_tasks(count: int, measure: str = "tiny") -> list[Task]:
    return [
        Task(scenario="tiny", measure=measure, parameters={"nodes": 4}, seed=seed)
        for seed in range(count)
    ]


def square(task: Task) -> Record:
    if multiprocessing.parent_process() is not None:
        pin_sources()  # as the test did that started this worker
    outcome = Outcome(world={"fidelity": "objects"}, metrics={"square": task.seed**2})
    return Record(key=task.key, task=task, outcome=outcome)


def raise_on_seed_1(task: Task) -> Record:
    if task.seed == 1:
        raise ValueError("seed 1\nis unlucky")
    return square(task)


def die_once_on_seed_3(folder: Path, task: Task) -> Record:
    """Takes its process down unless it has been here before."""
    marker = folder / "died"
    if task.seed == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(task)


def die_on_seed_3(task: Task) -> Record:
    if task.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(task)


def hang_from_seed_4(task: Task) -> Record:
    if task.seed >= 4:
        threading.Event().wait()
    return square(task)


def claim_other_sources(task: Task) -> Record:
    return Record(key="0" * 32, task=task, error="other")


def answer_what_cannot_be_sent(_item: int) -> object:
    return threading.Lock()
