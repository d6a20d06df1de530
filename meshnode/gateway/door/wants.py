"""What a client may wish of the mesh beyond what OpenAI knows: `extra_body={"meshnode": {...}}`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from meshnode.gateway.port import ASK_TIMEOUT_MS

TIMEOUT_MS_MAX: Final = 3_600_000
_Amount = Annotated[str, msgspec.Meta(max_length=40)]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Wants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The wishes; amounts are decimal numbers of ruv as text."""

    max_ruv: _Amount | None = None
    """Buy the answer, for at most so much in all."""
    max_price: _Amount | None = None
    """And at most so much per 1,000 billed tokens."""
    prefer: Literal["latency", "local"] | None = None
    """`latency`: whoever is expected to answer soonest, as without it. `local`: this node only."""
    private: bool = False
    """Compare no digest of the prompt with what peers have read lately, and leave none there."""
    on_break: Literal["error", "continue"] = "error"
    """Whether the same model elsewhere goes on, once, with an answer that broke off."""
    peer: _Text | None = None
    """Ask only this peer: its id, the beginning of it, or its name."""
    share: Literal["full", "digest"] | None = None
    """`digest` keeps the answer out of the signed result."""
    knowledge: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=6)] = ()
    """Vertices that the question builds on."""
    context: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=6)] = ()
    """The same, and refused where one of them shows no text, or they are too long together."""
    record: bool = False
    """Wait until the signed result is durable, and say which vertex it is. A paid answer does."""
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=TIMEOUT_MS_MAX)] = ASK_TIMEOUT_MS
    wishes: Annotated[dict[str, int], msgspec.Meta(max_length=8)] | None = None
    """Of a paid answer: context_tokens, sla_bp, first_token_ms, reputation_bp."""


def make_terms(wants: Wants) -> dict[str, object]:
    """What of the wishes is about where a question goes, as the node takes it."""
    terms = {"private": wants.private, "on_break": wants.on_break}
    return {} if wants.on_break == "error" and not wants.private else {"meshnode": terms}


NO_WANTS: Final = Wants()
