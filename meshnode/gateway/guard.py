"""Who may use the HTTP interface: bearer token, and no page of a browser that wandered in.

The interface is for programs of the node's owner. A token of the runtime file proves that. The
Host header must name this machine, so that a name an attacker points at 127.0.0.1 (DNS rebinding)
leads nowhere, and a foreign Origin is refused.
"""

from __future__ import annotations

import hmac
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

from meshnode.config import LOOPBACK_HOSTS
from meshnode.errors import MeshError
from meshnode.gateway.problems import get_http_status, get_retry_after_s, make_problem

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from meshnode.secret import Secret

_log: Final = logging.getLogger(__name__)

OPEN_PATHS: Final = ("/livez", "/readyz", "/startupz")
"""Health is no secret, and a service manager has no token."""
_KEPT_HEADERS: Final = ("Allow", "WWW-Authenticate")
STREAMING: Final = web.RequestKey("meshnode.streaming", bool)
"""Set on a request whose answer has begun."""


def make_problem_response(error: MeshError, *, status: int | None = None) -> web.Response:
    """An error as an HTTP answer."""
    retry_after_s = get_retry_after_s(error)
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.json_response(
        make_problem(error), status=status or get_http_status(error), headers=headers
    )


@web.middleware
async def answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into its JSON form."""
    try:
        return await handler(request)
    except MeshError as error:
        return make_problem_response(error)
    except web.HTTPException as error:
        response = make_problem_response(_describe(error, request), status=error.status)
        for name in _KEPT_HEADERS:
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response
    except Exception:  # the outermost boundary: one failed request must not show its insides
        if STREAMING in request:
            raise  # a status was sent; aiohttp logs this and ends the connection
        _log.exception("request %s %s failed", request.method, request.path)
        return make_problem_response(
            MeshError("the node failed to answer", hint="its log says more"), status=500
        )


def make_guard(token: Secret, *, loopback_only: bool) -> Middleware:
    """A middleware that lets only the node's owner through."""
    expected = f"Bearer {token.reveal()}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if loopback_only:
            _check_host(request)
        if request.path not in OPEN_PATHS:
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, expected):
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return guard


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
                "the token is missing or wrong", hint="runtime.json in the home folder holds it"
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
