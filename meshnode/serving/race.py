"""Two replicas for one question, where the first takes longer than it should: the faster answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshnode.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from meshnode.serving.attempt import Attempt
    from meshnode.views import StreamItem


class Runner:
    """An attempt whose first item is on its way."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.items: AsyncGenerator[StreamItem, None] = attempt.stream()
        self._first = asyncio.ensure_future(anext(self.items))

    @property
    def first(self) -> asyncio.Future[StreamItem]:
        """Its `Started`, or its failure."""
        return self._first

    async def stop(self) -> None:
        """End the attempt, and the work behind it."""
        self._first.cancel()
        await asyncio.wait({self._first})
        if not self._first.cancelled():
            self._first.exception()  # nobody else will look at it
        await self.items.aclose()


async def find_first(
    attempt: Attempt, hedge: Callable[[Attempt], Attempt | None]
) -> tuple[Attempt, AsyncGenerator[StreamItem, None], StreamItem]:
    """The attempt that has the first word, its items and the first of them.

    After the delay that the router sets for it, `hedge` may name a second attempt. Raises the
    failure of the attempt that was asked last, once none is left.
    """
    runners = [Runner(attempt)]
    delay_ms = attempt.errand.get_hedge_delay_ms()
    try:
        while True:
            pending = {runner.first for runner in runners}
            timeout_s = None if delay_ms is None else delay_ms / 1_000
            done, _ = await asyncio.wait(
                pending, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                delay_ms = None
                second = hedge(attempt)
                if second is not None:
                    runners.append(Runner(second))
                continue
            ended = next(runner for runner in runners if runner.first in done)
            error = ended.first.exception()
            if error is None:
                runners.remove(ended)
                return ended.attempt, ended.items, ended.first.result()
            if len(runners) == 1 or not isinstance(error, MeshError):
                raise error
            runners.remove(ended)
            await ended.stop()
    finally:
        for runner in runners:
            await runner.stop()
