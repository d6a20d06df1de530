"""An engine that one hosts oneself: vLLM, SGLang, llama.cpp, KTransformers, TensorRT-LLM, LiteLLM."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from meshnode.engines.accounts import check_shareable
from meshnode.engines.base import CountMethod, EngineError, LoadSignals, TokenCount
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.context import MESSAGE_TOKENS, REQUEST_TOKENS, encode_json, measure
from meshnode.engines.embeddings import EmbeddingsEngine
from meshnode.engines.http_options import FixedField, LocalOptions
from meshnode.engines.load_signals import read_load_signals
from meshnode.engines.local_kinds import PROBES, TRAITS, Kind, Tokenizing, kind_of_owner
from meshnode.engines.model_additions import describe_kimi
from meshnode.engines.openai_stream import malformed
from meshnode.engines.rules.messages import (
    apply_continuation,
    check_messages,
    drop_empty_contents,
    normalise_tool_ids,
)
from meshnode.engines.rules.sampling import apply_answer_cap, apply_default_temperature
from meshnode.engines.rules.thinking import apply_template_thinking, will_think

if TYPE_CHECKING:
    from meshnode.engines.base import ModelInfo
    from meshnode.engines.rules.draft import Draft

__all__ = ["LocalEngine", "LocalOptions"]

PROBE_TIMEOUT_MS = 2_000
ASK_TIMEOUT_MS = 10_000
METRICS_BYTES_MAX = 4 << 20


class LocalEngine(EmbeddingsEngine):
    """A client of an engine on one's own machines."""

    name = "local"

    def __init__(self, options: LocalOptions) -> None:
        if options.share:
            check_shareable(options.base_url)
        self._local = options
        super().__init__(options, base_url=options.base_url)
        self.kind = Kind.OTHER if options.kind == "auto" else Kind(options.kind)
        self._learn_kind()

    def _learn_kind(self) -> None:
        traits = TRAITS[self.kind]
        self._traits = traits
        self.shareable = self._local.share and traits.hosts_weights
        self.refuses_overflow = traits.refuses_overflow

    async def _connect(self) -> None:
        await super()._connect()
        if self._local.kind == "auto":
            self.kind = await self._detect()
            self._learn_kind()

    async def _detect(self) -> Kind:
        """What serves here: by its model list, else by endpoints that only one kind has."""
        owners = [model.extra.get("owned_by") for model in self._listed.values()]
        listed = kind_of_owner(owners)
        if listed is not None and listed is not Kind.SGLANG:
            return listed
        for path, word, kind in PROBES:
            if word in await self._probe(path):
                return kind
        return listed or Kind.OTHER

    async def _probe(self, path: str) -> str:
        try:
            body = await self._backend.fetch(
                "GET",
                path,
                deadline=self._after(PROBE_TIMEOUT_MS),
                size_max_bytes=METRICS_BYTES_MAX,
                below_root=True,
            )
        except EngineError:
            return ""
        return body.decode(errors="replace")

    def _describe(self, model: ModelInfo) -> ModelInfo:
        described = describe_kimi(model)
        broken = model.id in self._broken_parsers
        return dataclasses.replace(described, tools=described.tools and not broken)

    def _shape(self, draft: Draft) -> None:
        options, known = self._local, find_capabilities(draft.model)
        check_messages(draft)
        apply_continuation(draft, self._traits.continuation)
        apply_answer_cap(draft, field=self.cap_field, default=options.answer_tokens)
        apply_default_temperature(draft, known)
        if known.is_kimi:
            drop_empty_contents(draft)
            self._memory.replay(draft, expected=will_think(draft, known))
            normalise_tool_ids(draft)
        apply_template_thinking(draft, known, dict(options.chat_template_kwargs), FixedField.OMIT)

    async def _count(self, draft: Draft) -> TokenCount | None:
        match self._traits.tokenizing:
            case Tokenizing.CHAT:
                return TokenCount(await self._count_chat(draft), CountMethod.TOKENIZER)
            case Tokenizing.TEMPLATE:
                return TokenCount(await self._count_template(draft), CountMethod.TOKENIZER)
            case Tokenizing.TEXT:
                return TokenCount(await self._count_text(draft), CountMethod.PROVIDER)
            case Tokenizing.COUNTER:
                return TokenCount(await self._count_by_proxy(draft), CountMethod.PROVIDER)
            case _:
                return None

    async def _count_chat(self, draft: Draft) -> int:
        asked = ("model", "messages", "tools", "chat_template_kwargs", "continue_final_message")
        body = {name: draft.get(name) for name in asked if draft.get(name) is not None}
        body["add_generation_prompt"] = not draft.get("continue_final_message")
        return self._read_count(await self._ask("tokenize", body), "count")

    async def _count_template(self, draft: Draft) -> int:
        asked = ("messages", "tools", "chat_template_kwargs")
        body = {name: draft.get(name) for name in asked if draft.get(name) is not None}
        prompt = (await self._ask("apply-template", body)).get("prompt")
        answer = await self._ask(
            "tokenize", {"content": prompt, "add_special": True, "parse_special": True}
        )
        tokens = answer.get("tokens")
        if not isinstance(prompt, str) or not isinstance(tokens, list):
            raise malformed(self._backend.label, "its tokenizer gives no 'tokens'")
        return len(tokens)

    async def _count_text(self, draft: Draft) -> int:
        """The text by the tokenizer, the template by a bound."""
        text = encode_json([draft.messages, draft.get("tools")]).decode()
        answer = await self._ask("tokenize", {"model": draft.model, "prompt": text})
        size = measure(draft.messages)
        frame = size.messages * MESSAGE_TOKENS + REQUEST_TOKENS
        return self._read_count(answer, "count") + frame

    async def _count_by_proxy(self, draft: Draft) -> int:
        body = {"model": draft.model, "messages": draft.messages}
        return self._read_count(await self._ask("utils/token_counter", body), "total_tokens")

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._backend.fetch_object(
            "POST",
            path,
            deadline=self._after(ASK_TIMEOUT_MS),
            body=encode_json(body),
            size_max_bytes=self._options.answer_bytes_max,
            below_root=True,
        )

    def _read_count(self, answer: dict[str, Any], name: str) -> int:
        count = answer.get(name)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise malformed(self._backend.label, f"its count has no '{name}'")
        return count

    async def read_load(self) -> LoadSignals:
        """Running and waiting requests and the use of memory. Raises `EngineError`."""
        if not self._traits.metrics:
            return LoadSignals()
        page = await self._backend.fetch(
            "GET",
            self._traits.metrics,
            deadline=self._after(PROBE_TIMEOUT_MS),
            size_max_bytes=METRICS_BYTES_MAX,
            below_root=True,
        )
        return read_load_signals(page.decode(errors="replace"), self._traits)
