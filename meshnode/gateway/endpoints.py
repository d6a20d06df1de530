"""What each path takes and gives: the table from which both routes and their document are made.

A handler gets the request and what it takes, decoded, and returns a view, a list of views, or a
response of its own. What a path takes is the JSON body of a POST, and the query of anything else.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from aiohttp import web

from meshnode.gateway.bodies import Body, read_body, read_query
from meshnode.views import View, make_list_document

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler as RequestHandler

Handler = Callable[[web.Request, Any], Awaitable[Any]]
"""From a request and what it takes to a view, a list of views, or a response."""
Schema = dict[str, Any]
"""A JSON Schema."""

JSON_TYPE: Final = "application/json"
_PARAMETER: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A document that holds one list of views under its name."""

    name: str
    item: type[View]


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that goes on: views of these kinds, one after the other."""

    media_type: str
    items: tuple[type[View], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer of a form that is not ours, described by a schema of its own."""

    media_type: str
    schema: Schema


Given = type[View] | Listed | Streamed | Plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path with one method."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    """As aiohttp reads it: `{name}` stands for one part."""
    summary: str
    handler: Handler
    takes: type[Body] | Schema | None = None
    """A body as a bare schema is read by the handler itself."""
    upload: str | None = None
    """Media type of a body that the handler reads itself, piece by piece; then `takes` is a query."""
    gives: tuple[Given, ...] = ()
    """The forms of an answer with status 200."""
    refuses: tuple[int, ...] = ()
    """Statuses beyond those that every path may answer with."""
    unready: type[View] | None = None
    """What is given with 503 by a path that tells of health."""
    problems: tuple[type, ...] = ()
    """Further forms of its errors, beside the one of its part of the interface."""
    tag: str = "node"
    """The chapter of the document that it stands in."""

    @property
    def takes_query(self) -> bool:
        """Whether what it takes stands in the address."""
        return self.method != "POST" or self.upload is not None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(_PARAMETER.findall(self.path))


def get(
    path: str,
    summary: str,
    handler: Handler,
    *gives: Given,
    takes: type[Body] | None = None,
    **details: Any,
) -> Endpoint:
    """A path that is read; `takes` is its query."""
    return Endpoint(
        method="GET",
        path=path,
        summary=summary,
        handler=handler,
        takes=takes,
        gives=gives,
        **details,
    )


def post(
    path: str,
    summary: str,
    handler: Handler,
    *gives: Given,
    takes: type[Body] | Schema | None = None,
    **details: Any,
) -> Endpoint:
    """A path that something is said to; `takes` is its JSON body."""
    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        handler=handler,
        takes=takes,
        gives=gives,
        **details,
    )


def make_routes(endpoints: Sequence[Endpoint]) -> list[web.RouteDef]:
    """Routes for aiohttp, in the order of the table."""
    return [
        web.get(endpoint.path, _make_handler(endpoint))
        if endpoint.method == "GET"
        else web.route(endpoint.method, endpoint.path, _make_handler(endpoint))
        for endpoint in endpoints
    ]


def _make_handler(endpoint: Endpoint) -> RequestHandler:
    handler, takes = endpoint.handler, endpoint.takes
    listed = next((form for form in endpoint.gives if isinstance(form, Listed)), None)

    async def handle(request: web.Request) -> web.StreamResponse:
        taken: Body | None = None
        if isinstance(takes, type):
            from_query = endpoint.takes_query
            taken = read_query(request, takes) if from_query else await read_body(request, takes)
        given = await handler(request, taken)
        if isinstance(given, web.StreamResponse):
            return given
        if listed is not None:
            return web.json_response(make_list_document(listed.name, given))
        return web.json_response(given.to_json())

    return handle
