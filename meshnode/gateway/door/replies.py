"""How an answer gets to its client: at once or piece by piece, kept alive by comments.

A streamed reply begins with its first piece, so that what fails before has a status of its own;
when that takes longer than a ping's interval it begins anyway, and a later failure is an event.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from meshnode.gateway.door.frames import PING
from meshnode.gateway.guard import ID_HEADER, REQUEST_ID, STREAMING
from meshnode.gateway.streaming import EVENTS_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

PING_INTERVAL_S: Final = 15.0
STALLED_S: Final = 60.0
"""A client that takes nothing for this long is given up, and with it the work for it."""
JSON_TYPE: Final = "application/json"


class Reply(Protocol):
    """Where an answer goes."""

    @property
    def begun(self) -> bool:
        """Whether anything has been sent, so that a failure has no status any more."""

    @property
    def over(self) -> bool:
        """Whether the client has all of it."""

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Headers that are known now; they count until the reply begins."""

    async def send(self, data: bytes) -> None:
        """One or more whole events."""

    async def fail(self, data: bytes) -> None:
        """The last event, which says what went wrong."""

    async def end(self) -> None:
        """No more events follow."""

    def finish(self, body: bytes) -> None:
        """The whole answer at once."""


class HttpReply:
    """A reply to the request that asks."""

    def __init__(self, request: web.Request, *, streams: bool) -> None:
        self._request = request
        self._headers = {ID_HEADER: request[REQUEST_ID]}
        self._response: web.StreamResponse | None = None
        self._loop = asyncio.get_running_loop()
        self._sent_s = self._loop.time()
        self._sending = False
        self._beginning = asyncio.Lock()
        self._pinging: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        if streams:
            self._timer = self._loop.call_later(PING_INTERVAL_S, self._tick)

    @property
    def begun(self) -> bool:
        """Whether anything has been sent."""
        return self._response is not None

    @property
    def over(self) -> bool:
        """Whether the client has all of it."""
        return self._told

    async def wait_over(self, work: asyncio.Task[None]) -> None:
        """Until the client has all of it. Raises why the work ended before."""
        work.add_done_callback(self._end_with)
        await self._over

    def _end_with(self, work: asyncio.Task[None]) -> None:
        if self._over.done():
            return
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        if isinstance(error, asyncio.CancelledError):
            self._over.cancel()
        elif error is not None:
            self._over.set_exception(error)
        else:
            self._over.set_result(None)

    @property
    def response(self) -> web.StreamResponse:
        """What the handler returns."""
        assert self._response is not None, "an answer ends with a reply or an error"
        return self._response

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Headers that are known now."""
        self._headers.update(headers)

    async def send(self, data: bytes) -> None:
        """One or more whole events."""
        response = self._response
        if response is None or not response.prepared:
            response = await self._begin()
        self._sending = True
        await response.write(data)
        self._sending = False
        self._sent_s = self._loop.time()

    async def fail(self, data: bytes) -> None:
        """The last event, which says what went wrong."""
        await self.send(data)

    async def end(self) -> None:
        """No more events follow."""
        response = await self._begin()
        await response.write_eof()
        self._tell()

    def finish(self, body: bytes) -> None:
        """The whole answer at once."""
        self._response = web.Response(body=body, content_type=JSON_TYPE, headers=self._headers)
        self._tell()

    def _tell(self) -> None:
        self._told = True
        if not self._over.done():
            self._over.set_result(None)

    async def close(self) -> None:
        """Stop pinging; called however the answer ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait([self._pinging])

    async def _begin(self) -> web.StreamResponse:
        async with self._beginning:
            if self._response is None:
                self._request[STREAMING] = True
                self._response = web.StreamResponse(
                    headers={
                        "Content-Type": EVENTS_TYPE,
                        "Cache-Control": "no-store",
                        **self._headers,
                    }
                )
                await self._response.prepare(self._request)
            return self._response

    def _tick(self) -> None:
        """Look at the stream now and then, rather than at every piece of it."""
        quiet_s = self._loop.time() - self._sent_s
        if self._sending and quiet_s >= STALLED_S:
            # aiohttp then cancels the handler, and so the work behind it.
            if self._request.transport is not None:
                self._request.transport.abort()
            return
        if quiet_s >= PING_INTERVAL_S and not self._sending and self._is_idle():
            self._pinging = self._loop.create_task(self._ping(), name="ping")
            quiet_s = 0.0
        wait_s = max(PING_INTERVAL_S - quiet_s, PING_INTERVAL_S / 10)
        self._timer = self._loop.call_later(wait_s, self._tick)

    def _is_idle(self) -> bool:
        return self._pinging is None or self._pinging.done()

    async def _ping(self) -> None:
        try:
            await self.send(PING)
        except ConnectionError:
            return  # the client is gone, and aiohttp ends the handler
