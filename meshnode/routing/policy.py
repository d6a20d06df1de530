"""Least outstanding requests per slot: which replica gets the next query, and why.

A replica is eligible when it serves the model, may serve this node, is not draining and was not
tried before. Those that failed an own query within the last seconds are used only when nothing
else is left. Of the rest the one with the fewest requests per slot wins, compared as fractions in
integers; ties go to the local engine, then round and round.

Costs measured in time, breakers and affinity belong beside this module once they exist; callers
see `choose_replica` only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.routing.replica import Replica

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

FAILURE_MS = 5_000
"""How long a failure makes a replica the last resort."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where a query goes."""

    replica: Replica
    model: str
    """The model to ask for there."""
    explain: tuple[str, ...]
    """One line per replica: its load, or why it was left out."""


def choose_replica(
    replicas: Sequence[Replica],
    model: str,
    *,
    now_ms: int,
    excluded: Collection[str] = (),
    rotation: int = 0,
) -> Choice | None:
    """Pick a replica for `model`, None where none is eligible.

    `excluded` names peers that were tried already. Callers raise `rotation` by one per query, so
    that equals take turns.
    """
    eligible: list[Replica] = []
    explain: list[str] = []
    for replica in sorted(replicas, key=lambda replica: replica.peer):
        obstacle = find_obstacle(replica, model, excluded=excluded)
        explain.append(f"{replica.name}: {obstacle or _describe_load(replica, now_ms)}")
        if not obstacle:
            eligible.append(replica)
    candidates = [replica for replica in eligible if not _failed_lately(replica, now_ms)]
    ranked = _rank(candidates or eligible, rotation)
    if not ranked:
        return None
    best = ranked[0]
    for replica in ranked[1:]:
        if _is_less_loaded(replica, best):
            best = replica
    served = best.find_model(model)
    assert served is not None, "an eligible replica serves the model"
    return Choice(replica=best, model=served, explain=tuple(explain))


def find_obstacle(replica: Replica, model: str, *, excluded: Collection[str] = ()) -> str:
    """Why a replica cannot take a query for `model`; empty when it can."""
    if replica.peer in excluded:
        return "tried already"
    if replica.draining:
        return "draining"
    if not replica.local and not replica.shareable:
        return "serves its owner only"
    if replica.find_model(model) is None:
        return f"serves {', '.join(replica.models) or 'nothing'}"
    return ""


def _describe_load(replica: Replica, now_ms: int) -> str:
    load = f"{replica.load} requests on {replica.slots} slots"
    return f"{load}, failed lately" if _failed_lately(replica, now_ms) else load


def _failed_lately(replica: Replica, now_ms: int) -> bool:
    return replica.failed_ms is not None and now_ms - replica.failed_ms < FAILURE_MS


def _rank(replicas: list[Replica], rotation: int) -> list[Replica]:
    """The order that decides ties: the local engine, then the others from a rotating start."""
    local = [replica for replica in replicas if replica.local]
    others = [replica for replica in replicas if not replica.local]
    start = rotation % len(others) if others else 0
    return local + others[start:] + others[:start]


def _is_less_loaded(left: Replica, right: Replica) -> bool:
    return left.load * max(1, right.slots) < right.load * max(1, left.slots)
