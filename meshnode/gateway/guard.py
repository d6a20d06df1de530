"""Who may use the HTTP interface: bearer tokens, and no page of a browser that wandered in.

The interface is for programs of the node's owner, who proves that by the token of the runtime file,
and for those that the owner has given an API key. The Host header must name this machine, so that a
name an attacker points at 127.0.0.1 (DNS rebinding) leads nowhere, and a foreign Origin is refused;
no header allows pages of other origins anything.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import web

from meshnode.config import LOOPBACK_HOSTS
from meshnode.errors import MeshError
from meshnode.gateway.access import CALLER, find_scope
from meshnode.gateway.openai_problems import (
    OPENAI_PREFIX,
    get_openai_status,
    make_openai_headers,
    make_openai_problem,
)
from meshnode.gateway.problems import get_http_status, get_retry_after_s, make_problem
from meshnode.gateway.refusals import ForbiddenScope, Refusal

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from meshnode.gateway.access import Gatekeeper
    from meshnode.gateway.limits import Limits

_log: Final = logging.getLogger(__name__)

OPEN_PATHS: Final = ("/livez", "/readyz", "/startupz")
"""Health is no secret, and a service manager has no token."""
_KEPT_HEADERS: Final = ("Allow", "WWW-Authenticate")
STREAMING: Final = web.RequestKey("meshnode.streaming", bool)
"""Set on a request whose answer has begun."""
REQUEST_ID: Final = web.RequestKey("meshnode.request_id", str)
"""Set on every request of a client of OpenAI."""
ID_HEADER: Final = "x-request-id"
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_TRACE: Final = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ID_BYTES: Final = 16


def make_problem_response(error: MeshError, *, status: int | None = None) -> web.Response:
    """An error as an HTTP answer of the node's own interface."""
    if isinstance(error, Refusal):
        retry_after_s, found = error.retry_after_s, error.status
    else:
        retry_after_s, found = get_retry_after_s(error), get_http_status(error)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.json_response(make_problem(error), status=status or found, headers=headers)


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into its JSON form."""
    if request.path.startswith(OPENAI_PREFIX):
        request[REQUEST_ID] = _make_request_id(request)
    try:
        response = await handler(request)
    except MeshError as error:
        response = _make_response(request, error)
    except web.HTTPException as error:
        response = _make_response(request, _describe(error, request), status=error.status)
        for name in _KEPT_HEADERS:
            if name in error.headers:
                response.headers[name] = error.headers[name]
    except Exception:  # the outermost boundary: one failed request must not show its insides
        if STREAMING in request:
            raise  # a status was sent; aiohttp logs this and ends the connection
        _log.exception("request %s %s failed", request.method, request.path)
        problem = MeshError("the node failed to answer", hint="its log says more")
        response = _make_response(request, problem, status=500)
    if REQUEST_ID in request and not response.prepared:
        response.headers[ID_HEADER] = request[REQUEST_ID]
    return response


def make_guard(gatekeeper: Gatekeeper, limits: Limits, *, loopback_only: bool) -> Middleware:
    """A middleware that lets only the node's owner and holders of its keys through."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if loopback_only:
            _check_host(request)
        if request.path not in OPEN_PATHS:
            caller = await gatekeeper.identify(request.headers.get("Authorization", ""))
            if caller is None:
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
            scope = find_scope(request.method, request.path)
            if not caller.may(scope):
                raise ForbiddenScope(
                    f"this key may not do that: it lacks the scope '{scope}'",
                    hint="make another with `meshnode keys create`",
                )
            limits.count(caller)
            request[CALLER] = caller
        return await handler(request)

    return guard


def _make_response(
    request: web.Request, error: MeshError, *, status: int | None = None
) -> web.Response:
    if not request.path.startswith(OPENAI_PREFIX):
        return make_problem_response(error, status=status)
    return web.json_response(
        make_openai_problem(error, status=status),
        status=status or get_openai_status(error),
        headers=make_openai_headers(error),
    )


def _make_request_id(request: web.Request) -> str:
    """The client's own id where it gave one, or its trace's, so that both sides name it alike."""
    given = request.headers.get(ID_HEADER, "")
    if _GIVEN_ID.fullmatch(given):
        return given
    trace = _TRACE.fullmatch(request.headers.get("traceparent", ""))
    return trace[1] if trace else f"req_{secrets.token_hex(_ID_BYTES)}"


def _check_host(request: web.Request) -> None:
    if _strip_port(request.headers.get("Host", "")) not in LOOPBACK_HOSTS:
        raise web.HTTPForbidden
    origin = request.headers.get("Origin")
    if origin is not None and _strip_port(origin.partition("://")[2]) not in LOOPBACK_HOSTS:
        raise web.HTTPForbidden


def _strip_port(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


class _HttpProblem(MeshError):
    """A refusal of HTTP itself."""

    code = "http_error"


class _Unauthorized(MeshError):
    code = "unauthorized"


class _NotFound(MeshError):
    code = "not_found"


def _describe(error: web.HTTPException, request: web.Request) -> MeshError:
    path = request.path[:128]
    match error.status:
        case 401:
            return _Unauthorized(
                "the token is missing or wrong",
                hint="`meshnode keys create` makes an API key; runtime.json holds the owner's token",
            )
        case 403:
            return _HttpProblem(
                "this interface answers to this machine only",
                hint="use the address that `meshnode status` shows",
            )
        case 404:
            return _NotFound(f"{path} is not here", hint="see /api/v1/status")
        case 405:
            return _HttpProblem(f"{request.method} is not for {path}")
        case 413:
            return _HttpProblem("the body is too large", hint="2 MiB are accepted")
        case _:
            return _HttpProblem(error.reason)
