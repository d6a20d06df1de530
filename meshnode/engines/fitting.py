"""Fitting one request into a context: counted, and refused or trimmed by the rule that was set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from meshnode.engines.base import CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.context import (
    RECOUNTS_MAX,
    bound_tokens,
    drop_turns,
    fit_answer_cap,
    measure,
    overflow,
)
from meshnode.engines.http_options import ContextRule
from meshnode.engines.rules.messages import check_messages, normalise_tool_ids

if TYPE_CHECKING:
    from meshnode.engines.rules.draft import Draft

_REQUESTED = re.compile(r"requested:?\s*(\d{1,9})|resulted in (\d{1,9}) tokens", re.IGNORECASE)


class Counter(Protocol):
    """The engine a request is fitted for."""

    cap_field: str
    follows_rules: bool
    refuses_overflow: bool

    async def count_draft(self, draft: Draft) -> TokenCount | None:
        """Count the prompt; None where nobody can."""


class ContextFitter:
    """One request's way into a context of `window` tokens; 0 is a context nobody knows."""

    def __init__(self, counter: Counter, draft: Draft, *, window: int) -> None:
        self._counter = counter
        self._draft = draft
        self._window = window
        self._rule = ContextRule.ENGINE
        asked = draft.get("messages")
        self._whole = len(asked) if isinstance(asked, list) else 0
        self._trimmed_after = False

    async def fit(self, rule: ContextRule) -> None:
        """Make the request fit, or raise `EngineError`. A request's own wish wins over `rule`."""
        wish = self._draft.wishes.get("context_rule")
        self._rule = ContextRule(wish) if wish in list(ContextRule) else rule
        if self._rule is ContextRule.ENGINE or not self._window:
            return
        check_messages(self._draft)
        size = measure(self._draft.messages, self._draft.get("tools"))
        if not size.media and size.certain_tokens + self._cap() <= self._window:
            return
        count = await self._recount()
        fit_answer_cap(
            self._draft,
            field=self._counter.cap_field,
            window=self._window,
            tokens=count.tokens,
        )
        room = self._window - self._cap()
        if count.tokens > room:
            await self._make_room(count, room)

    async def _make_room(self, count: TokenCount, room: int) -> None:
        if self._rule is ContextRule.REFUSE:
            if count.method is not CountMethod.BOUND or not self._counter.refuses_overflow:
                raise overflow(count, room)
            self._draft.note(
                "context_uncertain",
                "messages",
                f"up to {count.tokens} tokens by a bound where {room} fit; the service decides",
            )
            return
        for _ in range(RECOUNTS_MAX):
            self._trim(count.tokens, room)
            count = await self._recount()
            if count.tokens <= room:
                self._note_trimmed(count)
                return
        raise overflow(count, room, "even without older turns")

    def _trim(self, tokens: int, room: int) -> None:
        self._draft.fields["messages"] = drop_turns(self._draft.messages, tokens=tokens, room=room)
        if self._counter.follows_rules and find_capabilities(self._draft.model).is_kimi:
            normalise_tool_ids(self._draft)  # they count over what is sent

    def _note_trimmed(self, count: TokenCount | None) -> None:
        left = len(self._draft.messages)
        told = f", {count.tokens} tokens left ({count.method.value})" if count else ""
        self._draft.note(
            "context_trimmed",
            "messages",
            f"the oldest {self._whole - left} of {self._whole} messages were left out{told}",
        )

    def trim_after(self, error: EngineError) -> bool:
        """Whether the request was made shorter after the service refused its length; once only."""
        if (
            error.fault is not EngineFault.CONTEXT_OVERFLOW
            or self._rule is not ContextRule.TRIM
            or self._trimmed_after
        ):
            return False
        self._trimmed_after = True
        match = _REQUESTED.search(error.message)
        told = int(next(filter(None, match.groups()))) if match else 0
        limits = [limit for limit in (self._window, _read_limit(error.message)) if limit]
        window = min(limits, default=0)
        tokens = told or bound_tokens(self._draft.messages, self._draft.get("tools")).tokens
        room = window - self._cap()
        if not window or tokens <= room:
            return False
        try:
            self._trim(tokens, room - room // 20)  # the share of a turn is an estimate
        except EngineError:
            return False
        self._note_trimmed(None)
        return True

    async def _recount(self) -> TokenCount:
        counted = await self._counter.count_draft(self._draft)
        if counted is not None:
            return counted
        return bound_tokens(self._draft.messages, self._draft.get("tools"))

    def _cap(self) -> int:
        cap: Any = self._draft.get(self._counter.cap_field)
        return cap if isinstance(cap, int) and not isinstance(cap, bool) and cap > 0 else 1


_LIMIT = re.compile(r"(?:token limit|context length|context size)\D{0,30}(\d{3,9})", re.IGNORECASE)


def _read_limit(message: str) -> int:
    match = _LIMIT.search(message)
    return int(match[1]) if match else 0
