"""Brings a demo's mesh up: a few founders, one of which serves a model; more join by ticket."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from market.amounts import URUV_PER_RUV
from meshnode.demo.founding import found_network
from meshnode.demo.processes import Crew, DemoNode, open_crew
from meshnode.errors import ConfigError, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NODES_MIN: Final = 2
NODES_MAX: Final = 16
VALIDATORS_MAX: Final = 4
"""So many found the mesh and agree on its order: the fewest of whom one may fail."""
JOINER_RUV: Final = 50
"""What who joins is given by the first founder, which has enough for as many as there can be."""
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
    """From nothing until the founders were ready."""
    connected_ms: int
    """From then until everybody was connected with everybody."""

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
        names = [name_node(number) for number in range(min(nodes, VALIDATORS_MAX))]
        await asyncio.to_thread(found_network, folder, names)
        tell(f"starting {', '.join(names)}: the mesh's validators; {names[0]} serves {engine}")
        founders = await _start_founders(crew, names, engine)
        ready_ms = _since(began)
        if nodes > len(names):
            tell(f"starting {nodes - len(names)} more, which join with a ticket")
        began = time.monotonic()
        everybody = (*founders, *await _start_joiners(crew, founders[0], nodes))
        await _wait_until_connected(everybody)
        yield DemoMesh(folder, everybody, ready_ms, _since(began))


def name_node(number: int) -> str:
    """What the nodes are called."""
    name = _NAMES[number % len(_NAMES)]
    return name if number < len(_NAMES) else f"{name}-{number // len(_NAMES) + 1}"


async def _start_founders(crew: Crew, names: list[str], engine: str) -> list[DemoNode]:
    engines = [engine, *["none"] * (len(names) - 1)]
    return await asyncio.gather(
        *(
            crew.start(name, {**_FLAGS, "engine": chosen})
            for name, chosen in zip(names, engines, strict=True)
        )
    )


async def _start_joiners(crew: Crew, first: DemoNode, nodes: int) -> list[DemoNode]:
    numbers = range(VALIDATORS_MAX, nodes)
    if not numbers:
        return []
    ticket = await first.remote.invite(uses=len(numbers), grant_uruv=JOINER_RUV * URUV_PER_RUV)
    flags = {**_FLAGS, "engine": "none"}
    return await asyncio.gather(
        *(crew.start(name_node(number), flags, ticket=ticket) for number in numbers)
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
