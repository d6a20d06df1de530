"""How many threads a model may use on this machine without slowing everything down."""

from __future__ import annotations

import os
from pathlib import Path

THREADS_MAX = 8
"""More gain nothing for the small models that run inside a node."""

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_thread_count() -> int:
    """One physical core less than there are; 1 in continuous integration.

    Threads of one computation wait for each other by spinning. As soon as one of them has to share
    its core, all the others burn theirs: measured on two busy cores, two threads made 1 to 5 tokens
    a second where a single one made 22 to 25.
    """
    if os.environ.get("CI"):
        return 1
    return max(1, min(physical_core_count() - 1, THREADS_MAX))


def physical_core_count(topology: Path = _TOPOLOGY, quota: Path = _QUOTA) -> int:
    """Cores this process may use, siblings of one core counted once, within a container's quota."""
    cores = {_siblings(topology, cpu) for cpu in _usable_cpus()}
    return max(1, min(len(cores), _quota_cores(quota)))


def _usable_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _siblings(topology: Path, cpu: int) -> str:
    """The name of the core of a logical processor; its own number where the system does not say."""
    try:
        return (topology / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota_cores(quota: Path) -> int:
    """Whole cores of the control group's quota; no limit where there is none."""
    try:
        granted, period = (int(word) for word in quota.read_text().split())
        return granted // period
    except (OSError, ValueError, ZeroDivisionError):
        return THREADS_MAX + 1
