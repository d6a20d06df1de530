"""The Kimi platform of Moonshot AI, in both its regions."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from meshnode.engines.accounts import read_micro
from meshnode.engines.base import Account, CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.context import encode_json
from meshnode.engines.http_engine import HttpEngine
from meshnode.engines.http_options import MoonshotOptions
from meshnode.engines.model_additions import choose_newest_kimi, describe_kimi
from meshnode.engines.openai_stream import malformed
from meshnode.engines.pricing import MOONSHOT_PRICES
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
from meshnode.engines.rules.thinking import apply_moonshot_thinking, will_think
from meshnode.engines.rules.tools import apply_tool_choice, check_tools

if TYPE_CHECKING:
    from meshnode.engines.base import ModelInfo
    from meshnode.engines.rules.draft import Draft

__all__ = ["BASE_URLS", "MoonshotEngine", "MoonshotOptions"]

BASE_URLS = MappingProxyType(
    {
        "international": "https://api.moonshot.ai/v1",
        "china": "https://api.moonshot.cn/v1",
    }
)
"""Two services with accounts, keys and currencies of their own: the key of one is refused by the
other."""
CURRENCIES = MappingProxyType({"international": "USD", "china": "CNY"})
ASK_TIMEOUT_MS = 15_000


class MoonshotEngine(HttpEngine):
    """A client of one account."""

    name = "moonshot"
    cap_field = "max_completion_tokens"
    refuses_overflow = True

    def __init__(self, options: MoonshotOptions) -> None:
        self._moonshot = options
        super().__init__(
            options,
            base_url=options.base_url or BASE_URLS[options.region],
            prices=MOONSHOT_PRICES if options.region == "international" else MappingProxyType({}),
        )

    def _describe(self, model: ModelInfo) -> ModelInfo:
        return describe_kimi(model)

    def _choose_default(self, models: list[ModelInfo]) -> str:
        return choose_newest_kimi(models)

    def _explain(self, error: EngineError) -> None:
        if error.fault is EngineFault.UNAUTHORIZED:
            error.hint = (
                f"check that the key is one of {self._backend.authority}: keys of the international "
                "platform, the Chinese one and Kimi Code are not interchangeable"
            )

    def _shape(self, draft: Draft) -> None:
        options, known = self._moonshot, find_capabilities(draft.model)
        check_messages(draft)
        apply_fixed_sampling(draft, known, options.fixed_fields)
        apply_temperature(draft, known, options.fixed_fields)
        apply_answer_cap(
            draft, field=self.cap_field, default=options.answer_tokens or known.answer_tokens
        )
        check_stops(draft)
        check_tools(draft)
        apply_tool_choice(draft, known)
        drop_empty_contents(draft)
        self._memory.replay(draft, expected=will_think(draft, known))
        normalise_tool_ids(draft)
        apply_continuation(draft, Continuation.PARTIAL)
        apply_moonshot_thinking(draft, known, options.fixed_fields)
        for name in ("prompt_cache_key", "safety_identifier"):
            default = getattr(options, name)
            if default and draft.get(name) is None:
                draft.fields[name] = default

    async def _count(self, draft: Draft) -> TokenCount | None:
        """The provider's estimate; tools count as the text they are sent as."""
        messages = list(draft.messages)
        if draft.get("tools"):
            messages.append({"role": "system", "content": encode_json(draft.get("tools")).decode()})
        answer = await self._backend.fetch_object(
            "POST",
            "tokenizers/estimate-token-count",
            deadline=self._after(ASK_TIMEOUT_MS),
            body=encode_json({"model": draft.model, "messages": messages}),
        )
        data = answer.get("data")
        tokens = data.get("total_tokens") if isinstance(data, dict) else None
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise malformed(self._backend.label, "its estimate has no 'total_tokens'")
        return TokenCount(tokens, CountMethod.PROVIDER)

    async def read_account(self) -> Account:
        """The balance, asked of the provider right now. Raises `EngineError`."""
        answer = await self._backend.fetch_object(
            "GET", "users/me/balance", deadline=self._after(ASK_TIMEOUT_MS)
        )
        data = answer.get("data")
        if not isinstance(data, dict) or read_micro(data.get("available_balance")) is None:
            raise malformed(self._backend.label, "its balance has no 'available_balance'")
        return Account(
            currency=CURRENCIES[self._moonshot.region],
            available_micro=read_micro(data["available_balance"]),
            details={
                f"{name}_micro": read_micro(data.get(name))
                for name in ("voucher_balance", "cash_balance")
            },
        )
