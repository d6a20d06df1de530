"""OpenRouter: the models of many providers behind one address and one account."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.engines.accounts import read_micro
from meshnode.engines.base import Account
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.embeddings import EmbeddingsEngine
from meshnode.engines.http_options import OpenRouterOptions
from meshnode.engines.model_additions import choose_newest_kimi
from meshnode.engines.openai_stream import malformed
from meshnode.engines.request import bad_request
from meshnode.engines.rules.messages import (
    Continuation,
    apply_continuation,
    check_messages,
    drop_empty_contents,
    normalise_tool_ids,
)
from meshnode.engines.rules.sampling import (
    apply_answer_cap,
    apply_fixed_sampling,
    apply_temperature,
    check_stops,
)
from meshnode.engines.rules.thinking import apply_openrouter_thinking, will_think
from meshnode.engines.rules.tools import apply_tool_choice, check_tools
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from meshnode.engines.base import ModelInfo
    from meshnode.engines.rules.draft import Draft

__all__ = ["OpenRouterEngine", "OpenRouterOptions"]

ASK_TIMEOUT_MS = 15_000
COMPRESSION_PLUGIN = "context-compression"
"""Cuts messages out of the middle of a long conversation, unseen, unless it is switched off."""


class OpenRouterEngine(EmbeddingsEngine):
    """A client of one account."""

    name = "openrouter"
    refuses_overflow = True

    def __init__(self, options: OpenRouterOptions) -> None:
        self._openrouter = options
        super().__init__(options, base_url=options.base_url, headers=_app_headers(options))

    def _describe(self, model: ModelInfo) -> ModelInfo:
        supported = model.extra.get("supported_parameters")
        return dataclasses.replace(
            model, tools=isinstance(supported, list) and "tools" in supported
        )

    def _choose_default(self, models: list[ModelInfo]) -> str:
        return choose_newest_kimi(models)

    def _shape(self, draft: Draft) -> None:
        options, known = self._openrouter, find_capabilities(draft.model)
        check_messages(draft)
        apply_continuation(draft, Continuation.IMPLIED)
        apply_answer_cap(
            draft,
            field=self.cap_field,
            default=options.answer_tokens or (known.answer_tokens if known.is_kimi else 0),
        )
        if known.is_kimi:
            apply_fixed_sampling(draft, known, options.fixed_fields)
            apply_temperature(draft, known, options.fixed_fields)
            check_stops(draft)
            check_tools(draft)
            apply_tool_choice(draft, known)
            drop_empty_contents(draft)
            normalise_tool_ids(draft)
            apply_openrouter_thinking(draft, known, options.fixed_fields)
        self._memory.replay(draft, expected=will_think(draft, known))
        self._route(draft)

    def _route(self, draft: Draft) -> None:
        """The choice among providers, and no cutting of conversations behind anybody's back."""
        routing: dict[str, Any] = msgspec.to_builtins(self._openrouter.provider)
        if draft.get("tools"):
            routing.setdefault("require_parameters", True)
        given = draft.get("provider")
        if given is not None and not isinstance(given, dict):
            raise bad_request("'provider' is not an object")
        routing |= given or {}
        draft.omit("provider")
        if routing:
            draft.fields["provider"] = routing
        plugins = draft.get("plugins") or []
        if not isinstance(plugins, list):
            raise bad_request("'plugins' is not a list")
        named = {plugin.get("id") for plugin in plugins if isinstance(plugin, dict)}
        if COMPRESSION_PLUGIN not in named and not draft.get("transforms"):
            draft.fields["plugins"] = [*plugins, {"id": COMPRESSION_PLUGIN, "enabled": False}]

    async def read_account(self) -> Account:
        """Limit and use of the key, asked of the provider right now. Raises `EngineError`."""
        answer = await self._backend.fetch_object(
            "GET", "key", deadline=self._after(ASK_TIMEOUT_MS)
        )
        data = answer.get("data")
        if not isinstance(data, dict):
            raise malformed(self._backend.label, "what it says of the key has no 'data'")
        label = data.get("label")
        return Account(
            available_micro=read_micro(data.get("limit_remaining")),
            used_micro=read_micro(data.get("usage")),
            limit_micro=read_micro(data.get("limit")),
            # The provider's label is the key's two ends unless its owner has named it otherwise.
            label=label if isinstance(label, str) and not label.startswith("sk-") else "",
            details={
                name: data.get(name) for name in ("limit_reset", "is_free_tier", "byok_usage")
            },
        )


def _app_headers(options: OpenRouterOptions) -> dict[str, str]:
    """How the application is named in OpenRouter's own lists: not at all unless that is set."""
    headers = {"HTTP-Referer": options.app_url, "X-OpenRouter-Title": options.app_title}
    for option, value in (("app_url", options.app_url), ("app_title", options.app_title)):
        if not (value.isascii() and (value.isprintable() or not value)):
            raise ConfigError(f"{option} holds characters that no header may have")
    return {name: value for name, value in headers.items() if value}
