"""Tasks that work on one stream together and end together."""

from __future__ import annotations

import asyncio
from typing import Any


async def join(*tasks: asyncio.Task[Any], return_when: str = asyncio.FIRST_COMPLETED) -> None:
    """Wait for the first of them, or as `return_when` says, end the others, and raise what one raised.

    Whoever is cancelled here ends all of them, too.
    """
    try:
        await asyncio.wait(tasks, return_when=return_when)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()
