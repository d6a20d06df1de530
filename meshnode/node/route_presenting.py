"""Decisions of the router as people are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.route_views import PlacementInfo, RouteCandidate, RouteInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.routing.decision import Candidate, Decision
    from meshnode.routing.query import Query
    from meshnode.shell.placement_table import Placement


def show_route(
    query: Query, decision: Decision, *, authors: Mapping[str, bytes], own: str
) -> RouteInfo:
    """A decision; `authors` by transport id."""
    chosen = None if decision.chosen is None else decision.chosen.peer
    shown = [
        _show_candidate(each, authors.get(each.peer, b""), chosen=chosen, own=own)
        for each in decision.candidates
    ]
    shown.sort(key=lambda each: (not each.chosen, not each.eligible, each.cost_us, each.name))
    return RouteInfo(
        model=query.model,
        prompt_tokens=query.prompt_tokens,
        chosen=chosen,
        reason=str(decision.reason),
        retry_after_ms=decision.retry_after_ms,
        candidates=tuple(shown),
    )


def _show_candidate(
    candidate: Candidate, author: bytes, *, chosen: str | None, own: str
) -> RouteCandidate:
    return RouteCandidate(
        name=candidate.name,
        peer=candidate.peer,
        author=author.hex(),
        local=candidate.peer == own,
        chosen=candidate.peer == chosen,
        eligible=candidate.obstacle is None,
        obstacle="" if candidate.obstacle is None else str(candidate.obstacle),
        detail=candidate.detail,
        model=candidate.model,
        revision=candidate.revision,
        cost_us=candidate.cost_us,
        rtt_us=candidate.rtt_us,
        prefill_us=candidate.prefill_us,
        decode_us=candidate.decode_us,
        penalty_us=candidate.penalty_us,
        cached_tokens=candidate.cached_tokens,
        miss_tokens=candidate.miss_tokens,
        queue_tokens=candidate.queue_tokens,
        requests=candidate.requests,
        slots=candidate.slots,
        age_ms=candidate.age_ms,
        suspect=candidate.is_suspect,
    )


def show_placement(placement: Placement) -> PlacementInfo:
    """A row of the record of placements."""
    return PlacementInfo(
        time_ms=placement.time_ms,
        role=placement.role,
        requester=placement.requester.hex(),
        owner=placement.owner.hex(),
        backend=placement.backend,
        engine=placement.engine,
        model=placement.model,
        allowed=placement.allowed,
        reason=placement.reason,
    )
