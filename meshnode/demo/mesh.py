"""Brings a demo's mesh up: one founder that serves a model, and others that join by ticket."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshnode.demo.processes import Crew, DemoNode, open_crew
from meshnode.errors import ConfigError, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NODES_MIN: Final = 2
NODES_MAX: Final = 16
CONNECT_TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.02
_FLAGS: Final = {"api": "127.0.0.1:0", "listen": ["/ip4/127.0.0.1/tcp/0"], "kind": "demo"}
_NAMES: Final = ("ada", "bell", "curie", "darwin", "euler", "fermi", "gauss", "hopper")

Tell = Callable[[str], None]
"""Hears what is being done, one line each."""


@dataclass(frozen=True, slots=True)
class DemoMesh:
    """A mesh that is up: every node is connected with every other one."""

    folder: Path
    nodes: tuple[DemoNode, ...]
    ready_ms: int
    """From nothing until the founder was ready."""
    connected_ms: int
    """From the first join until everybody was connected with everybody."""

    @property
    def founder(self) -> DemoNode:
        """The node that serves the model."""
        return self.nodes[0]


@asynccontextmanager
async def open_demo_mesh(*, nodes: int, engine: str, tell: Tell) -> AsyncIterator[DemoMesh]:
    """Real processes on loopback, in a network of kind 'demo'; nothing is left behind."""
    if not NODES_MIN <= nodes <= NODES_MAX:
        raise ConfigError(
            f"a demo has {NODES_MIN} to {NODES_MAX} nodes, not {nodes}", hint="see --nodes"
        )
    folder = Path(tempfile.mkdtemp(prefix="meshnode-demo-"))
    async with open_crew(folder) as crew:
        began = time.monotonic()
        tell(f"starting {name_node(0)}, which founds the mesh and serves the engine {engine}")
        founder = await _start_founder(crew, engine)
        ready_ms = _since(began)
        tell(f"starting {nodes - 1} more, which join with a ticket")
        began = time.monotonic()
        joiners = await _start_joiners(crew, founder, nodes - 1)
        everybody = (founder, *joiners)
        await _wait_until_connected(everybody)
        yield DemoMesh(folder, everybody, ready_ms, _since(began))


def name_node(number: int) -> str:
    """What the nodes are called."""
    name = _NAMES[number % len(_NAMES)]
    return name if number < len(_NAMES) else f"{name}-{number // len(_NAMES) + 1}"


async def _start_founder(crew: Crew, engine: str) -> DemoNode:
    return await crew.start(name_node(0), {**_FLAGS, "network_name": "demo", "engine": engine})


async def _start_joiners(crew: Crew, founder: DemoNode, count: int) -> list[DemoNode]:
    ticket = await founder.remote.invite(uses=count)
    flags = {**_FLAGS, "engine": "none"}
    return await asyncio.gather(
        *(crew.start(name_node(number), flags, ticket=ticket) for number in range(1, count + 1))
    )


async def _wait_until_connected(nodes: tuple[DemoNode, ...]) -> None:
    wanted = len(nodes) - 1
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            for node in nodes:
                while (await node.remote.status()).peers_ready < wanted:  # noqa: ASYNC110 - of others
                    await asyncio.sleep(POLL_S)
    except TimeoutError:
        counts = [
            f"{node.name} {(await node.remote.status()).peers_ready}/{wanted}" for node in nodes
        ]
        raise DeadlineExceeded(
            f"not everybody connected within {CONNECT_TIMEOUT_S:.0f} s: {', '.join(counts)}",
            hint="does something filter the loopback interface? `meshnode doctor` looks",
        ) from None


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1_000)
