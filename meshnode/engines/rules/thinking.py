"""Whether and how hard a model thinks, said in the words of whoever serves it.

Requests say it in four ways: `thinking: {type}` (Moonshot), `reasoning_effort` (OpenAI), `reasoning:
{enabled, effort}` (OpenRouter), `chat_template_kwargs: {thinking}` (engines). All are understood
everywhere; what the model cannot do is refused or noted, never dropped unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshnode.engines.capabilities import Thinking
from meshnode.engines.http_options import FixedField
from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from meshnode.engines.capabilities import Capabilities
    from meshnode.engines.rules.draft import Draft

_WEAKER = {"none": "low", "minimal": "low", "low": "low", "medium": "high", "high": "high"}
"""Efforts of other dialects, as the families that have efforts know them."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request says of thinking; None where it says nothing."""

    enabled: bool | None = None
    effort: str | None = None


def take_wish(draft: Draft) -> Wish:
    """Read the wish in whichever form, and take it out of the request."""
    enabled: bool | None = None
    effort: str | None = None
    thinking, reasoning = draft.get("thinking"), draft.get("reasoning")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "disabled"):
        enabled = thinking["type"] == "enabled"
    if isinstance(reasoning, dict):
        if isinstance(reasoning.get("enabled"), bool):
            enabled = reasoning["enabled"]
        if isinstance(reasoning.get("effort"), str):
            effort = reasoning["effort"]
    if isinstance(draft.get("reasoning_effort"), str):
        effort = draft.get("reasoning_effort")
    template = draft.get("chat_template_kwargs")
    if isinstance(template, dict) and isinstance(template.get("thinking"), bool):
        enabled = template["thinking"]
    if effort == "none":
        enabled = False
    return Wish(enabled, effort)


def apply_moonshot_thinking(draft: Draft, known: Capabilities, rule: FixedField) -> None:
    """Say it as the Kimi platform reads it."""
    if known.thinking is Thinking.UNKNOWN:
        return
    wish = take_wish(draft)
    given = draft.get("thinking")
    keep = given.get("keep") if isinstance(given, dict) else None
    for name in ("thinking", "reasoning", "reasoning_effort", "chat_template_kwargs"):
        draft.omit(name)
    if known.thinking is Thinking.SWITCH and wish.enabled is not None:
        draft.fields["thinking"] = {"type": "enabled" if wish.enabled else "disabled"}
        if keep is not None:
            draft.fields["thinking"]["keep"] = keep
    elif (
        known.thinking is Thinking.EFFORT and wish.effort is not None and wish.enabled is not False
    ):
        draft.fields["reasoning_effort"] = _fit_effort(draft, known, wish.effort)
    _mind_unmet(draft, known, wish, rule)


def apply_openrouter_thinking(draft: Draft, known: Capabilities, rule: FixedField) -> None:
    """Say it as OpenRouter reads it, which has one form for all models."""
    if known.thinking is Thinking.UNKNOWN:
        return
    wish = take_wish(draft)
    given = draft.get("reasoning")
    for name in ("thinking", "reasoning_effort", "chat_template_kwargs"):
        draft.omit(name)
    reasoning: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    if known.thinking is Thinking.SWITCH and wish.enabled is not None:
        reasoning["enabled"] = wish.enabled
    if known.thinking is Thinking.EFFORT and wish.effort is not None and wish.enabled is not False:
        reasoning["effort"] = wish.effort
    if known.thinking in (Thinking.ALWAYS, Thinking.EFFORT) and wish.enabled is False:
        reasoning.pop("enabled", None)
        reasoning.pop("effort", None)
    draft.omit("reasoning")
    if reasoning:
        draft.fields["reasoning"] = reasoning
    _mind_unmet(draft, known, wish, rule)


def apply_template_thinking(
    draft: Draft, known: Capabilities, defaults: dict[str, Any], rule: FixedField
) -> None:
    """Say it to the chat template of an engine; `defaults` are its operator's."""
    given = draft.get("chat_template_kwargs")
    template = defaults | (given if isinstance(given, dict) else {})
    if known.is_kimi and known.thinking is not Thinking.UNKNOWN:
        wish = take_wish(draft)
        for name in ("thinking", "reasoning"):
            draft.omit(name)
        if known.thinking is Thinking.SWITCH and wish.enabled is not None:
            template["thinking"] = wish.enabled
        _mind_unmet(draft, known, wish, rule)
    if template:
        draft.fields["chat_template_kwargs"] = template


def will_think(draft: Draft, known: Capabilities) -> bool:
    """Whether the answer to a request begins with reasoning."""
    return known.thinks and not (
        known.thinking is Thinking.SWITCH and take_wish(draft).enabled is False
    )


def _fit_effort(draft: Draft, known: Capabilities, effort: str) -> str:
    if effort in known.efforts:
        return effort
    fitted = _WEAKER.get(effort, known.efforts[-1])
    draft.note("reasoning_effort", "reasoning_effort", f"{effort[:20]!r} was sent as {fitted!r}")
    return fitted


def _mind_unmet(draft: Draft, known: Capabilities, wish: Wish, rule: FixedField) -> None:
    """Note or refuse what the family cannot do."""
    unmet = ""
    if wish.enabled is False and known.thinking in (Thinking.ALWAYS, Thinking.EFFORT):
        unmet = "the model always thinks"
    elif wish.enabled and known.thinking is Thinking.NONE:
        unmet = "the model does not think"
    elif wish.effort not in (None, "none") and known.thinking is not Thinking.EFFORT:
        unmet = "the model has no efforts to choose from"
    if not unmet:
        return
    if rule is FixedField.REFUSE:
        raise bad_request(f"the wish about thinking cannot be met by {draft.model}: {unmet}")
    draft.note("thinking", "thinking", f"the wish was left out: {unmet}")
