"""The processes of a demo: nodes like any other, tied to it, and a janitor that outlives it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meshnode.client import RemoteNode, connect
from meshnode.daemon import Spawned, StartRequest, spawn_detached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

STOP_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class DemoNode:
    """One running node of the demo."""

    name: str
    home: Path
    spawned: Spawned
    remote: RemoteNode
    """Its HTTP interface."""

    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.spawned.process.poll() is None


class Crew:
    """Starts nodes and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Where everything of the demo lies."""
        self._nodes: list[DemoNode] = []

    async def start(
        self, name: str, flags: Mapping[str, Any], *, ticket: str | None = None
    ) -> DemoNode:
        """Start a node and wait until it is ready. Raises why it is not."""
        home = self.folder / name
        request = StartRequest(
            home=str(home), flags={"name": name, **flags}, ticket=ticket, tied=True
        )
        # It may take as long as any start: all of a crew start at once, on whatever machine this is.
        spawned = await spawn_detached(request, environ=make_environment())
        node = DemoNode(name, home, spawned, connect(home))
        self._nodes.append(node)
        return node

    async def stop(self) -> None:
        """End every node, gently at first."""
        await asyncio.gather(*(node.remote.close() for node in self._nodes))
        await asyncio.gather(*(asyncio.to_thread(_end, node.spawned) for node in self._nodes))


def make_environment() -> dict[str, str]:
    """This process's environment without a person's own settings of nodes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESHNODE_")}


@asynccontextmanager
async def open_crew(folder: Path) -> AsyncIterator[Crew]:
    """A crew whose processes and folder are gone afterwards, also if this process is killed."""
    janitor = _start_janitor(folder)
    crew = Crew(folder)
    try:
        yield crew
    finally:
        try:
            await crew.stop()
        finally:
            assert janitor.stdin is not None, "it was opened with a pipe"
            janitor.stdin.close()
            await asyncio.to_thread(janitor.wait)


def _start_janitor(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the program is this interpreter
        [sys.executable, "-E", "-s", str(Path(__file__).with_name("janitor.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(spawned: Spawned, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    process = spawned.process
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
