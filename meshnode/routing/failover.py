"""Whether a failed attempt is followed by another one, and how long after."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshnode.routing.faults import Fault
    from meshnode.routing.query import Query
    from meshnode.routing.settings import Settings

BACKOFF_MS = 500
BACKOFF_MS_MAX = 8_000


def forbid_retry(query: Query, fault: Fault, settings: Settings) -> str:
    """Why a query whose last attempt failed before its first token ends; empty where it may not.

    `query.tried` names all that were asked, the one that failed among them.
    """
    if not fault.may_retry_elsewhere:
        return f"another replica would not help: {fault}"
    if len(query.tried) >= settings.attempts_max:
        return f"{len(query.tried)} replicas were asked in vain"
    return ""


def forbid_resume(
    query: Query, fault: Fault, settings: Settings, *, resumed: int, tool_call_begun: bool
) -> str:
    """Why an answer that broke off is not continued; empty where it may be."""
    if not query.may_resume:
        return "answers are not continued unless the query asks for it"
    if not fault.is_breakage:
        return f"another replica would not help: {fault}"
    if resumed >= settings.resume_max:
        return "the answer was continued before"
    if tool_call_begun:
        return "a tool call had begun: half of one cannot be continued"
    if query.deterministic:
        return "the query asks for a seed: two replicas must not share its answer"
    return ""


def find_backoff_ms(failures: int, draw: int) -> int:
    """How long to wait before the same quota domain is asked again: full jitter, doubling."""
    ceiling_ms = min(BACKOFF_MS << min(failures, 8), BACKOFF_MS_MAX)
    return BACKOFF_MS + draw % (ceiling_ms - BACKOFF_MS + 1)
