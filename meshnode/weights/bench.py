"""How fast a model is on this machine: the embedded engine itself, asked as a node asks it."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from meshnode.engines.chunks import choices_of, find_usage
from meshnode.engines.cpu import default_thread_count
from meshnode.engines.registry import create_engine
from meshnode.engines.usage import TokenUsage, read_token_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.engines.base import Engine

_WORDS: Final = (
    *("river", "lamp", "seven", "carpet", "north", "apple", "winter", "engine", "paper", "music"),
    *("garden", "stone", "letter", "cloud", "bridge", "silver", "window", "orange", "valley"),
)
_TOKENS_PER_WORD: Final = 1.3
_CONTEXT_SPARE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What was measured; rates are medians of the runs, in tokens per second."""

    model: str
    threads: int
    load_ms: int
    runs: int
    prompt_tokens: int
    answer_tokens: int
    first_token_ms: int
    """With a prompt of one line."""
    prompt_rate: float
    answer_rate: float

    def to_json(self) -> dict[str, Any]:
        """The result for programs."""
        return {"schema": "meshnode.model-bench/1", **asdict(self)}


@dataclass(frozen=True, slots=True)
class _Run:
    first_ms: float
    total_ms: float
    usage: TokenUsage

    @property
    def prompt_rate(self) -> float:
        return 1_000 * (self.usage.prompt - self.usage.cached) / max(self.first_ms, 0.001)

    @property
    def answer_rate(self) -> float:
        rest_ms = max(self.total_ms - self.first_ms, 0.001)
        return 1_000 * max(0, self.usage.completion - 1) / rest_ms


async def run_bench(
    reference: str,
    *,
    threads: int,
    prompt_tokens: int,
    answer_tokens: int,
    runs: int,
    on_run: Callable[[int], None],
) -> BenchResult:
    """Load a model and ask it. Raises `EngineError` and `ConfigError`."""
    options = {
        "model": reference,
        "threads": threads,
        "context_tokens": prompt_tokens + answer_tokens + _CONTEXT_SPARE,
        "answer_tokens_max": answer_tokens,
    }
    engine = create_engine("embedded", options)
    started_s = time.monotonic()
    await engine.start()
    try:
        load_ms = int((time.monotonic() - started_s) * 1_000)
        (model,) = await engine.models()
        short, long = [], []
        for number in range(runs):
            on_run(number + 1)
            short.append(await _ask(engine, f"{number}: say hello.", answer_tokens=1))
            long.append(await _ask(engine, _make_prompt(number, prompt_tokens), answer_tokens))
    finally:
        await engine.close()
    middle = runs // 2
    return BenchResult(
        model=model.id,
        threads=threads or default_thread_count(),
        load_ms=load_ms,
        runs=runs,
        prompt_tokens=long[0].usage.prompt,
        answer_tokens=max(run.usage.completion for run in long),
        first_token_ms=int(sorted(run.first_ms for run in short)[middle]),
        prompt_rate=round(sorted(run.prompt_rate for run in long)[middle], 1),
        answer_rate=round(sorted(run.answer_rate for run in long)[middle], 1),
    )


def _make_prompt(number: int, tokens: int) -> str:
    """A text of about so many tokens whose beginning no other run has: nothing is cached."""
    count = max(1, int(tokens / _TOKENS_PER_WORD))
    words = (_WORDS[(number * 7 + index * (number + 3)) % len(_WORDS)] for index in range(count))
    return f"Run {number}. Tell a long story with these words: {' '.join(words)}"


async def _ask(engine: Engine, prompt: str, answer_tokens: int) -> _Run:
    request = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": answer_tokens,
        "temperature": 0,
    }
    started_s = time.monotonic()
    first_s = 0.0
    usage = TokenUsage()
    async with aclosing(engine.chat(request)) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            if not first_s and any(_has_text(choice) for choice in choices_of(chunk)):
                first_s = time.monotonic()
            told = find_usage(chunk)
            if told is not None:
                usage = read_token_usage(told)
    ended_s = time.monotonic()
    first_ms = ((first_s or ended_s) - started_s) * 1_000
    return _Run(first_ms, (ended_s - started_s) * 1_000, usage)


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    return isinstance(delta, dict) and bool(delta.get("content"))
