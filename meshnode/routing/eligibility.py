"""Whether a replica may and can take a query; each refusal has a code and a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.routing.decision import Obstacle
from meshnode.routing.query import AUTO_MODEL, Privacy, Query

if TYPE_CHECKING:
    from meshnode.routing.replica_state import ReplicaState
    from meshnode.routing.report import ModelOffer, Peer, Report
    from meshnode.routing.settings import Settings

Refusal = tuple[Obstacle, str]


def find_obstacle(
    state: ReplicaState, query: Query, settings: Settings, now_ms: int
) -> Refusal | None:
    """Why a replica may not have a query, or cannot take any now."""
    peer = state.peer
    if query.peer and peer.id != query.peer:
        return Obstacle.OTHER_PEER, "another peer is asked for"
    if peer.id in query.tried:
        return Obstacle.TRIED, "tried already"
    if query.privacy is Privacy.LOCAL and not peer.local:
        return Obstacle.PRIVACY, "the query must not leave this node"
    if query.privacy is Privacy.TRUSTED and not (peer.local or peer.trusted):
        return Obstacle.PRIVACY, "not trusted with private prompts"
    report = state.report
    if report is None:
        return Obstacle.EXPIRED, "has not said what it serves"
    if not peer.local and now_ms - state.received_ms > settings.expiry_ms:
        return Obstacle.EXPIRED, f"said nothing for {(now_ms - state.received_ms) // 1_000} s"
    if report.draining:
        return Obstacle.DRAINING, "draining"
    if not report.shareable and not _is_owner(peer, query):
        return Obstacle.OWNER_ONLY, "serves its owner only"
    return None


def find_offer(report: Report, query: Query) -> tuple[ModelOffer | None, Refusal | None]:
    """The first of a replica's models that can serve a query, or why none can."""
    refusal: Refusal | None = None
    for offer in report.models:
        if query.model not in {AUTO_MODEL, offer.id}:
            continue
        found = _check_offer(offer, query)
        if found is None:
            return offer, None
        refusal = refusal or found
    if refusal is None:
        served = ", ".join(offer.id for offer in report.models) or "nothing"
        refusal = Obstacle.MODEL, f"serves {served}"
    return None, refusal


def _is_owner(peer: Peer, query: Query) -> bool:
    return query.requester == peer.author if query.requester else peer.local


def _check_offer(offer: ModelOffer, query: Query) -> Refusal | None:
    if query.revision and offer.revision != query.revision:
        return Obstacle.REVISION, f"serves revision {offer.revision or 'unknown'} of {offer.id}"
    needed = query.prompt_tokens + query.reserved_tokens
    if offer.context_tokens and needed > offer.context_tokens:
        held = offer.context_tokens
        return Obstacle.CONTEXT, f"{offer.id} holds {held} tokens where {needed} are needed"
    if query.tools and not offer.tools:
        return Obstacle.TOOLS, f"{offer.id} cannot call tools there"
    if query.thinking and not offer.thinking:
        return Obstacle.THINKING, f"{offer.id} does not think there"
    return None
