"""Sweeps: the same results whatever runs them, however often they are ended and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from simulations.errors import SimulationError
from simulations.results import Record, compute_digest
from simulations.sweeps.engines import Serial
from simulations.sweeps.processes import Processes
from simulations.sweeps.shard import Shard
from simulations.sweeps.store import Store
from simulations.sweeps.sweep import Progress, sweep
from tests.support.sweep_tasks import (
    claim_other_sources,
    die_once_on_seed_3,
    make_tasks,
    raise_on_seed_1,
    square,
)

TASKS = make_tasks(12)


@pytest.fixture
def digest() -> str:
    return compute_digest([square(task) for task in TASKS])


def test_digest_is_that_of_the_results_in_serial_and_in_processes(tmp_path: Path, digest: str):
    for name, engine in (("serial", Serial()), ("processes", Processes(2))):
        summary = sweep(TASKS, square, engine, Store(tmp_path / name))
        assert (summary.digest, summary.total, summary.run, summary.failed) == (digest, 12, 12, 0)


def test_digest_of_three_shards_together_is_that_of_the_whole(tmp_path: Path, digest: str):
    store = Store(tmp_path)
    parts = [sweep(TASKS, square, Serial(), store, shard=Shard(one, 3)) for one in (1, 2, 3)]
    assert sum(part.run for part in parts) == 12
    whole = sweep(TASKS, square, Serial(), store)
    assert (whole.resumed, whole.run, whole.digest) == (12, 0, digest)


def test_digest_survives_a_killed_worker(tmp_path: Path, digest: str):
    function = partial(die_once_on_seed_3, tmp_path)
    assert sweep(TASKS, function, Processes(2), Store(tmp_path / "results")).digest == digest
    assert (tmp_path / "died").exists()


def test_sweep_resumes_after_half(tmp_path: Path, digest: str):
    store = Store(tmp_path)
    sweep(TASKS[:6], square, Serial(), store)
    torn = next(iter(store))
    (tmp_path / torn.key[:2] / f"{torn.key}.json").write_bytes(b"{")
    heard: list[tuple[int, Record | None]] = []

    def tell(progress: Progress, record: Record | None) -> None:
        heard.append((progress.done, record))

    summary = sweep([*TASKS, *TASKS], square, Serial(), store, tell=tell)
    assert (summary.total, summary.resumed, summary.run, summary.digest) == (12, 5, 7, digest)
    assert heard[0] == (5, None)
    assert [done for done, _ in heard] == list(range(5, 13))


def test_a_changed_task_is_another_task(tmp_path: Path, digest: str):
    store = Store(tmp_path)
    sweep(TASKS, square, Serial(), store)
    summary = sweep(make_tasks(12, measure="other"), square, Serial(), store)
    assert (summary.resumed, summary.run) == (0, 12)
    assert summary.digest != digest


def test_a_run_that_raises_is_recorded_and_retried_on_demand_only(tmp_path: Path, digest: str):
    store = Store(tmp_path)
    summary = sweep(TASKS, raise_on_seed_1, Serial(), store)
    assert (summary.run, summary.failed) == (12, 1)
    failed = store.find(TASKS[1].key)
    assert failed is not None
    assert failed.outcome is None
    assert failed.error == "ValueError: seed 1 is unlucky"
    again = sweep(TASKS, square, Serial(), store)
    assert (again.resumed, again.run, again.failed) == (12, 0, 1)
    retried = sweep(TASKS, square, Serial(), store, retry_failed=True)
    assert (retried.resumed, retried.run, retried.failed) == (11, 1, 0)
    assert retried.digest == digest


def test_workers_with_other_sources_are_refused(tmp_path: Path):
    with pytest.raises(SimulationError, match="sources differ"):
        sweep(TASKS, claim_other_sources, Serial(), Store(tmp_path))


SCRIPT = """
import sys
from pathlib import Path

from simulations.sweeps.processes import Processes
from simulations.sweeps.store import Store
from simulations.sweeps.sweep import sweep
from tests.support.sweep_tasks import hang_from_seed_4, make_tasks, pin_sources

if __name__ == "__main__":
    pin_sources()

    def tell(progress, _record):
        if progress.done == 4:
            print("four are done", flush=True)

    store = Store(Path(sys.argv[1]))
    summary = sweep(make_tasks(12), hang_from_seed_4, Processes(2), store, tell=tell)
    print(summary.done, summary.interrupted)
"""


def test_an_interrupt_keeps_what_is_done(tmp_path: Path, digest: str):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "results")],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "four are done\n"
        # As a terminal does it: to every process of the group.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == ("4 True\n", "", 0)
    summary = sweep(TASKS, square, Serial(), Store(tmp_path / "results"))
    assert (summary.resumed, summary.run, summary.digest) == (4, 8, digest)
