"""HTTP requests, counted by route and status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from meshnode.shell.measures import Tally

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

UNKNOWN_ROUTE: Final = "none"
ABORTED: Final = "aborted"


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """What has been answered, and what is under way."""

    answered: list[tuple[tuple[str, ...], int]]
    """By route and status."""
    running: int


class HttpMeter:
    """Counts the requests of one gateway."""

    def __init__(self) -> None:
        self._answered = Tally()
        self._running = 0

    def read(self) -> HttpLoad:
        """As it is now."""
        return HttpLoad(self._answered.list_counts(), self._running)

    def make_middleware(self) -> Middleware:
        """The outermost middleware: it sees every answer."""

        @web.middleware
        async def meter(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._running += 1
            code = ABORTED
            try:
                response = await handler(request)
                code = str(response.status)
                return response
            finally:
                self._running -= 1
                self._answered.add(_name_route(request), code)

        return meter


def _name_route(request: web.Request) -> str:
    """A route's own name, of which there are few; never the path that a client chose."""
    resource = request.match_info.route.resource
    return UNKNOWN_ROUTE if resource is None else resource.canonical
