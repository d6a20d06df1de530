"""How long discovery and connection take on loopback.

    python -m tests.campaigns.connect --runs 20

Meshes of three real daemons, and a newcomer in this process, over libp2p. *Joining* runs from the
pasted ticket to a ready connection with all three, two of which the newcomer has to find out about;
*coming back* runs from opening a home that is a member to the same. Identity, journal and
listening are in it; starting Python and importing libraries are not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.node import open_node
from tests.support.daemons import open_daemons, percentile

MESH = ("none", "none", "none")
JOINS_PER_MESH = 10
"""More members than a full mesh holds would be another measurement."""
TIMEOUT_MS = 60_000
LISTEN = ("/ip4/127.0.0.1/tcp/0",)

Tell = Callable[[str], None]


@dataclass
class Report:
    """Seconds, one per run."""

    joining: list[float] = field(default_factory=list)
    coming_back: list[float] = field(default_factory=list)


async def measure(runs: int, tell: Tell) -> Report:
    """Join and come back so many times."""
    report = Report()
    async with open_node(listen=LISTEN, engine="none"):
        pass  # the libraries are loaded now
    while len(report.joining) < runs:
        async with open_daemons(*MESH) as (_, nodes):
            for _ in range(min(JOINS_PER_MESH, runs - len(report.joining))):
                ticket = await nodes[0].remote.invite()
                with tempfile.TemporaryDirectory() as folder:
                    home = Path(folder) / "home"
                    report.joining.append(await _open(home, ticket))
                    report.coming_back.append(await _open(home, None))
                tell(f"  {report.joining[-1]:.3f} s, back in {report.coming_back[-1]:.3f} s")
    return report


async def _open(home: Path, ticket: str | None) -> float:
    began_s = time.monotonic()
    async with open_node(home=home, listen=LISTEN, engine="none", ticket=ticket) as node:
        await node.wait_for_peers(len(MESH), timeout_ms=TIMEOUT_MS)
        return time.monotonic() - began_s


def print_report(report: Report, tell: Tell) -> None:
    """Two lines."""
    for name, values in (("joining", report.joining), ("coming back", report.coming_back)):
        tell(
            f"{name:<12} p50 {percentile(values, 0.5):.3f} s, p99 {percentile(values, 0.99):.3f} s, "
            f"{len(values)} runs, {len(MESH)} peers each"
        )


def main() -> int:
    """The door."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--within", type=float, help="seconds for p50; more is exit code 1")
    arguments = parser.parse_args()

    def tell(line: str) -> None:
        print(line, flush=True)

    report = asyncio.run(measure(arguments.runs, tell))
    print_report(report, tell)
    slowest = max(percentile(report.joining, 0.5), percentile(report.coming_back, 0.5))
    return int(arguments.within is not None and slowest > arguments.within)


if __name__ == "__main__":
    sys.exit(main())
