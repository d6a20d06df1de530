"""`meshnode down`."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from meshnode.cli.exits import OK
from meshnode.cli.options import HomeOption, JsonOption, TimeoutOption
from meshnode.cli.output import print_json, say
from meshnode.client import connect
from meshnode.errors import DeadlineExceeded

if TYPE_CHECKING:
    from meshnode.client import RemoteNode

_POLL_S: Final = 0.05


async def down(
    *,
    timeout_s: TimeoutOption = 30,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Stop the running node; return when its process has ended."""
    async with connect(home) as node:
        await node.shutdown()
        await wait_until_gone(node, timeout_s=timeout_s)
        if json:
            print_json({"schema": "meshnode.down/1", "pid": node.pid, "stopped": True})
        else:
            say(f"stopped (pid {node.pid})")
    return OK


async def wait_until_gone(node: RemoteNode, *, timeout_s: float) -> None:
    """Wait for the end of a node's process. Raises `DeadlineExceeded`."""
    end = read_clock_s() + timeout_s
    while is_alive(node.pid):
        if read_clock_s() > end:
            raise DeadlineExceeded(
                f"the node (pid {node.pid}) has not ended after {timeout_s:.0f} s",
                hint=f"look into its log, then: kill {node.pid}",
            )
        await asyncio.sleep(_POLL_S)


def read_clock_s() -> float:
    """A clock that only goes forward."""
    return time.monotonic()


def is_alive(pid: int) -> bool:
    """Whether a process of this person runs; one that merely awaits its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):  # noqa: PTH112 - beside the path above
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
