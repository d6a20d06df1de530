"""What a running node measures of itself, as its `/metrics` tells.

(await scrape(home))['meshnode_messages_sent_total{kind="ping"}']
"""

from __future__ import annotations

from pathlib import Path

import aiohttp

from meshnode.runtime_file import require_runtime


async def scrape(home: Path) -> dict[str, float]:
    """Every sample by its name and labels, of the node that runs for a home."""
    record = require_runtime(home / "runtime.json")
    headers = {"Authorization": f"Bearer {record.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{record.url}/metrics") as response,
    ):
        response.raise_for_status()
        lines = (await response.text()).splitlines()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}
