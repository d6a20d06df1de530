"""How many threads a model gets, on machines of several shapes."""

from __future__ import annotations

import os

import pytest

from meshnode.engines import cpu
from meshnode.engines.cpu import THREADS_MAX, default_thread_count, physical_core_count


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Pretends to be a machine: sibling lists per processor, and a quota file."""

    def build(siblings: list[str], quota: str | None = None):
        cpus = set(range(len(siblings)))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: cpus, raising=False)
        for number, line in enumerate(siblings):
            folder = tmp_path / f"cpu{number}" / "topology"
            folder.mkdir(parents=True)
            if line:
                (folder / "thread_siblings_list").write_text(f"{line}\n")
        file = tmp_path / "cpu.max"
        if quota is not None:
            file.write_text(quota)
        return tmp_path, file

    return build


@pytest.mark.parametrize(
    ("siblings", "quota", "cores"),
    [
        (["0", "1"], None, 2),
        (["0-1", "0-1", "2-3", "2-3"], None, 2),
        (["", "", ""], None, 3),
        (["0", "1", "2", "3"], "max 100000\n", 4),
        (["0", "1", "2", "3"], "200000 100000\n", 2),
        (["0", "1"], "50000 100000\n", 1),
        (["0", "1"], "1 0\n", 2),
        (["0", "1"], "", 2),
    ],
)
def test_cores_are_counted_within_topology_and_quota(machine, siblings, quota, cores):
    assert physical_core_count(*machine(siblings, quota)) == cores


def test_cores_are_processors_where_the_system_tells_no_affinity(machine, monkeypatch):
    paths = machine([])
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert physical_core_count(*paths) == 1


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 3), (64, THREADS_MAX)])
def test_one_core_is_left_to_everything_else(monkeypatch, cores, threads):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(cpu, "physical_core_count", lambda: cores)
    assert default_thread_count() == threads


def test_one_thread_is_used_in_continuous_integration(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert default_thread_count() == 1
