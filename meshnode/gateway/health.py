"""Health for service managers: alive, started, ready; no token needed, nothing secret said."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiohttp import web

from meshnode.errors import MeshError
from meshnode.gateway.bodies import Body
from meshnode.gateway.endpoints import Endpoint, get
from meshnode.views import NodeStatus, View

if TYPE_CHECKING:
    from meshnode.gateway.port import NodeHost, Phase

PROGRAM: Final = "meshnode"
RETRY_AFTER_S: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness(View):
    """The process answers; whoever finds its port taken learns by whom."""

    schema: ClassVar[str] = "meshnode.liveness/1"

    live: bool
    program: str
    pid: int
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(View):
    """One thing that was looked at."""

    name: str
    ok: bool
    required: bool
    """Whether a node that fails it is not ready; the others are for people."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup(View):
    """How far the process is."""

    schema: ClassVar[str] = "meshnode.startup/1"

    ready: bool
    phase: str
    detail: str
    elapsed_ms: int
    """Time spent in this phase so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness(Startup):
    """Whether the node can serve, and what was looked at, where that was asked for."""

    schema: ClassVar[str] = "meshnode.readiness/1"

    checks: tuple[Check, ...] = ()


class ReadinessQuery(Body, frozen=True):
    """Whether to list the checks; the word alone is enough."""

    verbose: str | None = None


def make_health_endpoints(host: NodeHost, *, since_ms: int) -> list[Endpoint]:
    """`/livez`: the loop answers. `/startupz`: it started. `/readyz`: it can serve; else 503."""

    async def live(_: web.Request, __: None) -> Liveness:
        return Liveness(live=True, program=PROGRAM, pid=os.getpid(), since_ms=since_ms)

    async def started(_: web.Request, __: None) -> web.Response:
        return _answer(Startup(**_describe_phase(host.phase)))

    async def ready(_: web.Request, query: ReadinessQuery) -> web.Response:
        described, checks = _describe_phase(host.phase), await _check(host)
        described["ready"] = all(check.ok for check in checks if check.required)
        verbose = query.verbose not in (None, "0", "false")
        return _answer(Readiness(**described, checks=checks if verbose else ()))

    endpoints = [
        get("/livez", "Whether the process answers.", live, Liveness),
        get("/startupz", "Whether it has started.", started, Startup, unready=Startup),
        get(
            "/readyz",
            "Whether it can serve; with ?verbose what was looked at.",
            ready,
            Readiness,
            takes=ReadinessQuery,
            unready=Readiness,
        ),
    ]
    return [replace(endpoint, tag="health") for endpoint in endpoints]


def _answer(shown: Startup) -> web.Response:
    if shown.ready:
        return web.json_response(shown.to_json())
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return web.json_response(shown.to_json(), status=503, headers=headers)


def _describe_phase(phase: Phase) -> dict[str, Any]:
    return {
        "ready": phase.ready,
        "phase": phase.name,
        "detail": phase.detail,
        "elapsed_ms": phase.elapsed_ms,
    }


async def _check(host: NodeHost) -> tuple[Check, ...]:
    phase = host.phase
    elapsed = f"{phase.name} for {phase.elapsed_ms // 1_000} s"
    phase_check = Check(name="phase", ok=phase.ready, required=True, detail=elapsed)
    if not phase.ready:
        return (phase_check,)
    try:
        status = await host.get_node().status()
    except MeshError as error:
        # The reason may name files and peers: it is in the log, and in `status` for the owner.
        detail = f"the node does not tell its state ({error.code})"
        return (phase_check, Check(name="node", ok=False, required=True, detail=detail))
    return (phase_check, *_check_status(status))


def _check_status(status: NodeStatus) -> tuple[Check, ...]:
    """Counts and words of our own only: whoever asks has shown no token."""
    order, engine = status.consensus, status.engine
    return (
        Check(name="node", ok=True, required=True, detail="tells its state"),
        Check(
            name="publishing",
            ok=status.publishing != "forked",
            required=True,
            detail=status.publishing,
        ),
        Check(
            name="peers",
            ok=status.peers_ready > 0 or status.members <= 1,
            required=False,
            detail=f"{status.peers_ready} of {max(0, status.members - 1)} connected",
        ),
        Check(
            name="order",
            ok=order is None or not order.halted,
            required=False,
            detail="not known" if order is None else f"{order.standing}, {order.waiting} waiting",
        ),
        Check(
            name="engine",
            ok=engine is None or bool(engine.models),
            required=False,
            detail="none" if engine is None else f"{engine.running} of {engine.slots} slots busy",
        ),
        Check(
            name="problems",
            ok=not status.problems,
            required=False,
            detail=f"{len(status.problems)}; `meshnode status` names them",
        ),
    )
