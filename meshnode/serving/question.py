"""A question as it is asked of the mesh, and what of it a router looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from dag.genesis import Share
from meshnode.errors import CommandRejected
from meshnode.routing.query import AUTO_MODEL, Privacy, Query
from meshnode.serving.protocol import KNOWLEDGE_MAX, REMAINING_MS_MAX, REQUEST_BYTES_MAX

FIRST_TOKEN_MS: Final = 60_000
"""A question waits so long for its first token, or for half of its time where that is more."""
TOKEN_BYTES: Final = 4
"""Of a question's JSON, about so many are a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, of whom, and for how long."""

    request: dict[str, Any]
    """A chat completion request; its model is filled in for the replica that gets it."""
    model: str = AUTO_MODEL
    share: Share = "full"
    timeout_ms: int = 120_000
    knowledge: tuple[bytes, ...] = ()
    peer: str = ""
    """Ask only this peer: its transport id, its name, or the start of its author id."""
    private: bool = False
    """Whether no digest of the prompt may leave this node; so it is with `share` 'digest', too."""
    resume: bool = False
    """Whether another peer with the same model may continue an answer that broke off, once."""
    tenant: str = ""
    """Who asks here, such as the name of an API key."""

    @property
    def shows_prefix(self) -> bool:
        """Whether digests of its prompt may be compared with those that peers report."""
        return not self.private and self.share == "full"


def check_question(question: Question) -> None:
    """Raises `CommandRejected` for what cannot be asked."""
    if not 1 <= question.timeout_ms <= REMAINING_MS_MAX:
        raise CommandRejected(
            f"a time-out of {question.timeout_ms} ms cannot be kept",
            hint=f"choose one from 1 to {REMAINING_MS_MAX} ms",
        )
    if len(question.knowledge) > KNOWLEDGE_MAX:
        raise CommandRejected(
            f"the question builds on {len(question.knowledge)} vertices",
            hint=f"name at most {KNOWLEDGE_MAX}",
        )


def encode_request(request: dict[str, Any]) -> bytes:
    """The canonical JSON of a request. Raises `CommandRejected` for what is no JSON, or too much."""
    try:
        body = msgspec.json.encode(request, order="sorted")
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandRejected(f"the question is not JSON: {error}") from None
    if len(body) > REQUEST_BYTES_MAX:
        raise CommandRejected(
            f"the question has {len(body)} bytes where {REQUEST_BYTES_MAX} are allowed",
            hint="ask with less text",
        )
    return body


def make_query(
    question: Question,
    *,
    requester: bytes,
    size_bytes: int,
    remaining_ms: int,
    peer: str = "",
    prefix: tuple[int, ...] = (),
    tried: tuple[str, ...] = (),
) -> Query:
    """What the router is asked about a question; it holds no text."""
    request = question.request
    tools = bool(request.get("tools")) and request.get("tool_choice") != "none"
    thinking = request.get("thinking")
    return Query(
        model=question.model,
        tenant=question.tenant,
        requester=requester,
        prompt_tokens=-(-size_bytes // TOKEN_BYTES),
        max_output_tokens=_read_limit(request),
        remaining_ms=remaining_ms,
        first_token_ms=min(remaining_ms, max(FIRST_TOKEN_MS, question.timeout_ms // 2)),
        tools=tools,
        thinking=isinstance(thinking, dict) and thinking.get("type") == "enabled",
        privacy=Privacy.MESH,
        prefix=prefix,
        peer=peer,
        tried=tried,
        hedgeable=not tools,
        may_resume=question.resume,
        deterministic=request.get("seed") is not None,
    )


def _read_limit(request: dict[str, Any]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = request.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0
