"""The own model as a measure for the answers of others: any engine that tells its doubts.

An engine is one that honours `logprobs`, `top_logprobs` and an assistant's message at the end as
the beginning of its answer; the bundled one does.
"""

from __future__ import annotations

import builtins
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import choices_of, find_usage
from meshnode.quality.replay import TIE_MNAT, Comparison, Replay, Step

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from meshnode.engines.base import Chunk, Engine

OTHERS: Final = 20
RUN_TOKENS_MAX: Final = 256
LOGPROB_MIN: Final = -100.0
"""What is less likely is not told apart."""
BYTES_PER_TOKEN: Final = 3
"""Fewer than most tokens have, so that a run seldom ends before the answer does."""


class _Candidate(msgspec.Struct):
    """A token and its probability, in the dialect."""

    logprob: float
    token: str = ""
    bytes: list[Annotated[int, msgspec.Meta(ge=0, le=255)]] | None = None

    def read_text(self) -> builtins.bytes:
        return self.token.encode() if self.bytes is None else builtins.bytes(self.bytes)

    def read_mnat(self) -> int:
        """Rounded once, here: from now on only whole numbers are compared."""
        return round(max(self.logprob, LOGPROB_MIN) * 1_000)


class _Token(_Candidate):
    top_logprobs: list[_Candidate] = []


class Reference:
    """A model that answers of others are compared with."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._frame_tokens: int | None = None
        """Of a prompt without a text."""

    async def replay(
        self,
        messages: Sequence[Mapping[str, Any]],
        answer: str,
        *,
        ended: bool,
        tie_mnat: int = TIE_MNAT,
    ) -> Comparison:
        """Compare an answer, given at temperature 0 or near it. Raises `EngineError`."""
        walk = Replay(answer, ended=ended, tie_mnat=tie_mnat)
        while not walk.is_done:
            compared = walk.result.compared
            async with aclosing(self._run(messages, walk)) as steps:
                async for step in steps:
                    if not walk.take(step):
                        break
            if walk.result.compared == compared and not walk.is_done:
                raise EngineError(
                    EngineFault.MALFORMED,
                    f"the {self._engine.name} engine does not tell the probabilities of its tokens",
                    hint="use an engine that honours 'logprobs', as the embedded one",
                )
        return walk.result

    async def count_tokens(self, text: str) -> int | None:
        """Tokens of a text, by the model's own tokenizer; None where the engine tells no usage."""
        if self._frame_tokens is None:
            self._frame_tokens = await self._count_prompt("")
        tokens = await self._count_prompt(text)
        return None if tokens is None or self._frame_tokens is None else tokens - self._frame_tokens

    async def _count_prompt(self, text: str) -> int | None:
        request = {"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        async for chunk in self._engine.chat(request):
            usage = find_usage(chunk)
            if usage is not None and isinstance(usage.get("prompt_tokens"), int):
                return int(usage["prompt_tokens"])
        return None

    async def _run(
        self, messages: Sequence[Mapping[str, Any]], walk: Replay
    ) -> AsyncGenerator[Step, None]:
        begun = walk.begin()
        fixed = [{"role": "assistant", "content": begun}] if begun else []
        request = {
            "messages": [*messages, *fixed],
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": OTHERS,
            "max_tokens": min(RUN_TOKENS_MAX, walk.bytes_left // BYTES_PER_TOKEN + 2),
        }
        async for chunk in self._engine.chat(request):
            for step in read_steps(chunk):
                yield step


def read_steps(chunk: Chunk) -> tuple[Step, ...]:
    """The tokens of a chunk, with what the model was in doubt about. Raises `EngineError`."""
    steps: list[Step] = []
    for choice in choices_of(chunk):
        told = choice.get("logprobs")
        content = told.get("content") if isinstance(told, dict) else None
        try:
            tokens = msgspec.convert(content or [], list[_Token])
        except msgspec.ValidationError as error:
            raise EngineError(
                EngineFault.MALFORMED, f"the probabilities of tokens cannot be read: {error}"
            ) from None
        steps += [_make_step(token) for token in tokens]
    return tuple(steps)


def _make_step(token: _Token) -> Step:
    best = token.read_mnat()
    others = tuple((each.read_text(), best - each.read_mnat()) for each in token.top_logprobs)
    return Step(token.read_text(), others)
