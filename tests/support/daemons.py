"""Meshes of real `meshnode` processes on loopback, for tests and campaigns."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from meshnode.client import RemoteNode
from meshnode.demo.processes import Crew, DemoNode, open_crew

FLAGS = {"api": "127.0.0.1:0", "listen": ["/ip4/127.0.0.1/tcp/0"]}
POLL_S = 0.02
CONNECT_TIMEOUT_S = 60.0


@asynccontextmanager
async def open_daemons(*engines: str) -> AsyncIterator[tuple[Crew, list[DemoNode]]]:
    """One daemon per engine; the first founds the network. All are connected with all."""
    with tempfile.TemporaryDirectory(
        prefix="meshnode-campaign-", ignore_cleanup_errors=True
    ) as folder:
        async with open_crew(Path(folder) / "homes") as crew:
            founder = await crew.start(
                "node-0", {**FLAGS, "network_name": "campaign", "engine": engines[0]}
            )
            ticket = await founder.remote.invite(uses=100)
            joiners = await asyncio.gather(
                *(
                    crew.start(f"node-{number}", {**FLAGS, "engine": engine}, ticket=ticket)
                    for number, engine in enumerate(engines[1:], start=1)
                )
            )
            nodes = [founder, *joiners]
            await wait_connected(nodes)
            yield crew, nodes


async def wait_connected(nodes: list[DemoNode], timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Until every node is ready with every other one."""
    async with asyncio.timeout(timeout_s):
        for node in nodes:
            while (await node.remote.status()).peers_ready < len(nodes) - 1:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)


async def wait_equal_heads(remotes: list[RemoteNode], timeout_s: float = 60.0) -> float:
    """Until all have the same heads; answers how long it took, in seconds."""
    began_s = time.monotonic()
    async with asyncio.timeout(timeout_s):
        while len({(await remote.heads()).digest for remote in remotes}) > 1:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
    return time.monotonic() - began_s


def kill(node: DemoNode) -> None:
    """End a process as a power cut does."""
    node.spawned.process.send_signal(signal.SIGKILL)
    node.spawned.process.wait()


def find_daemons(home: Path) -> list[int]:
    """Processes that run a node of this very folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            if b"meshnode.daemon" in arguments and str(home).encode() in arguments:
                found.append(int(entry.name))
    return found


def verify_store(home: Path) -> str | None:
    """Check a home's whole store as `meshnode dag verify` does; what it found wrong, if anything."""
    done = subprocess.run(
        [sys.executable, "-m", "meshnode", "dag", "verify", "--home", str(home)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return f"exit code {done.returncode}: {done.stdout.strip()}" if done.returncode else None


def read_rss_kib(pid: int) -> tuple[int, int]:
    """Memory of a process now and at its peak, in KiB."""
    values: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            values[name] = int(rest.split()[0])
    return values["VmRSS"], values["VmHWM"]


def read_cpu_s(pid: int) -> float:
    """Processor time a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
