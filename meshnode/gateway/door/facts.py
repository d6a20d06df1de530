"""What the mesh tells of an answer beside it: who gave it, by which way, for how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from market.decimals import format_ruv

if TYPE_CHECKING:
    from meshnode.views import Answer, Started


def make_headers(shown: Started | Answer) -> dict[str, str]:
    """Who answers and by which way, as soon as that is known."""
    route = "local" if shown.local else "peer"
    if shown.attempts:
        route = f"{route}; tried={len(shown.attempts)}"
    # A name is any text its owner chose: encoded, it can be no other header.
    return {
        "x-meshnode-provider": quote(shown.name, safe=" "),
        "x-meshnode-route": route,
    }


def get_cost_uruv(answer: Answer) -> int:
    """What an answer cost."""
    return answer.cost_uruv


def make_cost_header(answer: Answer) -> dict[str, str]:
    """What the answer cost, known once it has ended."""
    return {"x-meshnode-cost-ruv": format_ruv(get_cost_uruv(answer))}


def make_facts(answer: Answer) -> dict[str, Any]:
    """The `meshnode` object of an answer; of one whose result is not signed yet, the less."""
    facts: dict[str, Any] = {
        "provider": answer.name,
        "author": answer.author,
        "local": answer.local,
        "engine": answer.engine,
        "cost_ruv": format_ruv(get_cost_uruv(answer)),
        "attempts": list(answer.attempts),
        "first_token_ms": answer.first_token_ms,
        "total_ms": answer.total_ms,
    }
    if answer.vertex:
        facts["vertex"] = answer.vertex
        facts["verified"] = answer.verified
        facts["queued_ms"] = answer.queued_ms
    if answer.payment is not None:
        facts["contract"] = answer.payment.contract
    return facts
