"""Routers and replicas for tests of routing: everything has a default, tests name what matters."""

from __future__ import annotations

from typing import Any

from meshnode.routing.decision import Candidate, Decision
from meshnode.routing.query import Query
from meshnode.routing.replica_state import ReplicaState
from meshnode.routing.report import ModelOffer, Peer, Report
from meshnode.routing.router import Router
from meshnode.routing.settings import Settings

OFFER = ModelOffer(id="m", revision="r1", context_tokens=100_000, tools=True, thinking=True)
QUERY = Query(model="m", prompt_tokens=1_000)
NO_EXPLORING = Settings(exploration_permille=0)


def make_report(sequence: int = 1, **fields: Any) -> Report:
    """A report of an idle replica with eight slots."""
    return Report(**{"sequence": sequence, "models": (OFFER,), "slots": 8, **fields})


def make_state(*, now_ms: int = 0, peer: Peer | None = None, **fields: Any) -> ReplicaState:
    """A replica that has just reported."""
    state = ReplicaState(peer or Peer(id="p"), Settings())
    state.take_report(make_report(**fields), now_ms=now_ms)
    return state


def make_router(
    *peers: str, now_ms: int = 0, settings: Settings = NO_EXPLORING, **fields: Any
) -> Router:
    """A router that has just heard from these peers, all of them alike."""
    router = Router(settings)
    for peer in peers:
        router.on_report(peer, make_report(**fields), now_ms=now_ms)
    return router


def get_chosen(decision: Decision) -> Candidate:
    """The candidate of a decision that chose one."""
    assert decision.chosen is not None, decision.explain()
    return decision.chosen
