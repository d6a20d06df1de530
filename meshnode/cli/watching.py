"""`--watch`: show something again and again until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

from meshnode.cli.exits import OK
from meshnode.cli.output import write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

INTERVAL_S: Final = 2.0
_CLEAR: Final = "\x1b[H\x1b[2J"


async def show_or_watch(show: Callable[[], Awaitable[int]], *, watch: bool) -> int:
    """Show once, or until a person has seen enough; then the exit code is 0."""
    if not watch:
        return await show()
    try:
        while True:
            if sys.stdout.isatty():
                write(_CLEAR)
            await show()
            await asyncio.sleep(INTERVAL_S)
    except asyncio.CancelledError:
        return OK
