"""Health for service managers: alive, started, ready; no token needed, nothing secret said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from meshnode.gateway.port import NodeHost


PROGRAM: Final = "meshnode"


def make_health_routes(host: NodeHost, *, since_ms: int) -> list[web.RouteDef]:
    """`/livez`: the loop answers. `/startupz`, `/readyz`: 503 with phase and time until ready."""

    async def live(_: web.Request) -> web.Response:
        # Whoever finds the port taken learns by whom.
        return web.json_response(
            {"live": True, "program": PROGRAM, "pid": os.getpid(), "since_ms": since_ms}
        )

    async def started(_: web.Request) -> web.Response:
        phase = host.phase
        body = {
            "ready": phase.ready,
            "phase": phase.name,
            "detail": phase.detail,
            "elapsed_ms": phase.elapsed_ms,
        }
        if phase.ready:
            return web.json_response(body)
        return web.json_response(body, status=503, headers={"Retry-After": "1"})

    return [
        web.get("/livez", live),
        web.get("/startupz", started),
        web.get("/readyz", started),
    ]
