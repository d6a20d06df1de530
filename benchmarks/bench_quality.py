"""Which cheats are found by which check, and how often honest providers are suspected.

    python -m benchmarks.bench_quality [--questions 12] [--samples 10] [--only NAME ...] [--json]

Every provider is the bundled model, or a copy of it with fewer bits, and answers the same
questions. The buyer's side holds the true model. Level 0 looks at the form of each answer, level 1
asks canaries and compares piles of answers at temperature 1, level 2 walks through each answer at
temperature 0 with the true model. Verdicts of level 2 are on groups of answers, as a prober or a
committee has them. Takes minutes; `--questions 4 --samples 4` gives a first impression.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from benchmarks._gguf import write_with_fewer_bits
from benchmarks._harness import describe_machine, describe_revision
from meshnode.engines.chunks import choices_of, find_usage
from meshnode.engines.embedded import EmbeddedEngine, EmbeddedOptions
from meshnode.engines.models import BUILTIN_MODEL, resolve_model
from meshnode.quality.canaries import is_right, make_canaries, misses_too_often
from meshnode.quality.reference import Reference
from meshnode.quality.replay import Comparison
from meshnode.quality.structure import Said, find_flaws
from meshnode.quality.two_sample import Likeness, compare_piles
from meshnode.quality.verdict import COMPARED_MIN, make_verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SLOTS: Final = 4
ANSWER_TOKENS: Final = 24
SAMPLE_TOKENS: Final = 12
CANARIES: Final = 12
RARE: Final = 20
"""A pile is suspected if one model would look so different at most once in so many times."""
_THINGS: Final = ("a river", "the moon", "bread", "a bicycle", "rain", "music", "a bank", "a tree")
_FORMS: Final = (
    "Explain to a child what {} is.",
    "Write three facts about {}.",
    "Why do people care about {}?",
    "Tell a short story about {}.",
)
_SAMPLED: Final = ("Name an animal.", "Write one sentence about the sea.")
_SHORT_CONTEXT_CHARS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A way to answer."""

    name: str
    honest: bool = False
    bits: int = 4
    every: int = 1
    """One of so many blocks has fewer bits."""
    batch_tokens: int = 64
    temperature: float = 0.0
    context_chars: int = 10_000
    turns: str = ""
    """What is done to a finished answer of the true model; it is asked nothing of its own."""

    @property
    def has_own_text(self) -> bool:
        """Whether its answers at temperature 1 can differ from the true model's in distribution."""
        return self.bits != 4 or self.honest


PROVIDERS: Final = (
    Provider(name="same machine", honest=True),
    Provider(name="other batches", honest=True, batch_tokens=512),
    Provider(name="temperature 0.1", honest=True, temperature=0.1),
    Provider(name="3 bits in a tenth of the blocks", bits=3, every=10),
    Provider(name="3 bits in a fiftieth of the blocks", bits=3, every=50),
    Provider(name="3 bits", bits=3),
    Provider(name="2 bits", bits=2),
    Provider(name="temperature 1 instead of 0", temperature=1.0),
    Provider(name="short context", context_chars=_SHORT_CONTEXT_CHARS),
    Provider(name="half the answer", turns="half"),
    Provider(name="half the answer, 'limit reached'", turns="limit"),
    Provider(name="answer to another question", turns="replayed"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer and what came with it."""

    text: str
    finish_reason: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Material:
    """What a provider said to everything that it was asked."""

    answers: list[Given] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)
    piles: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """What each check made of a provider."""

    provider: str
    honest: bool
    answers: int
    flawed: int
    canaries: int
    canaries_right: int
    canaries_suspected: bool
    pile_looks: int
    """0 where piles were not compared: they would be the true model's."""
    pile_as_different: int
    pile_suspected: bool
    tokens_compared: int
    tokens_matched: int
    tokens_first: int
    groups: int
    groups_substituted: int
    groups_open: int


def make_questions(count: int) -> list[str]:
    """Questions with answers of some length."""
    return [
        _FORMS[number % len(_FORMS)].format(_THINGS[number // len(_FORMS) % len(_THINGS)])
        for number in range(count)
    ]


@asynccontextmanager
async def load(provider: Provider, folder: Path) -> AsyncIterator[EmbeddedEngine]:
    """The provider's engine, with the weights that it really has."""
    reference = BUILTIN_MODEL
    if provider.bits != 4:
        path = folder / f"{provider.bits}-{provider.every}.gguf"
        source = resolve_model(BUILTIN_MODEL).path
        write_with_fewer_bits(source, path, bits=provider.bits, every=provider.every)
        reference = f"file:{path}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"
    options = EmbeddedOptions(
        model=reference,
        slots=SLOTS,
        context_tokens=512,
        waiting_max=64,
        threads=1,  # more of them wait for each other on a machine that does other things, too
    )
    engine = EmbeddedEngine(options)
    with mock.patch("meshnode.engines.embedded.BATCH_TOKENS", provider.batch_tokens):
        await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ask(engine: EmbeddedEngine, question: str, **fields: Any) -> Given:
    """One answer."""
    text, reason, tokens = "", "", 0
    request = {"messages": make_messages(question), **fields}
    async for chunk in engine.chat(request):
        for choice in choices_of(chunk):
            text += choice.get("delta", {}).get("content") or ""
            reason = choice.get("finish_reason") or reason
        tokens = (find_usage(chunk) or {}).get("completion_tokens", tokens)
    return Given(text, reason, tokens)


def make_messages(question: str) -> list[dict[str, str]]:
    """What is asked, for provider and reference alike."""
    return [{"role": "user", "content": question}]


async def collect(
    engine: EmbeddedEngine, provider: Provider, questions: Sequence[str], samples: int
) -> Material:
    """Everything that the provider says."""

    async def answer(question: str, tokens: int, temperature: float, seed: int) -> Given:
        kept = question[-provider.context_chars :]
        return await ask(engine, kept, max_tokens=tokens, temperature=temperature, seed=seed)

    base = int.from_bytes(hashlib.sha256(provider.name.encode()).digest()[:3], "big")
    heat = provider.temperature
    answers = await asyncio.gather(*(answer(q, ANSWER_TOKENS, heat, base) for q in questions))
    canaries = await asyncio.gather(
        *(
            answer(canary.question, SAMPLE_TOKENS + 8, heat, base)
            for canary in make_canaries(b"bench", CANARIES)
        )
    )
    piles = [
        [
            given.text
            for given in await asyncio.gather(
                *(answer(q, SAMPLE_TOKENS, 1.0, base + n) for n in range(samples))
            )
        ]
        for q in (_SAMPLED if provider.has_own_text else ())
    ]
    return Material(answers, [given.text for given in canaries], piles)


def turn(answers: Sequence[Given], how: str) -> list[Given]:
    """What a cheat does to answers that were honest until then."""
    if how == "half":
        return [replace(a, text=a.text[: len(a.text) // 2], finish_reason="stop") for a in answers]
    if how == "limit":
        return [Given(a.text[: len(a.text) // 2], "length", max(1, a.tokens // 2)) for a in answers]
    if how == "replayed":
        return [*answers[1:], *answers[:1]]
    return list(answers)


async def judge(
    reference: Reference,
    provider: Provider,
    questions: Sequence[str],
    said: Material,
    true: Material,
) -> Row:
    """Apply every check."""
    flawed, comparisons = 0, []
    for question, given in zip(questions, said.answers, strict=True):
        counted = await reference.count_tokens(given.text)
        form = Said(
            text=given.text,
            finish_reason=given.finish_reason,
            tokens_claimed=given.tokens,
            tokens_counted=counted,
            tokens_max=ANSWER_TOKENS,
        )
        flawed += bool(find_flaws(form))
        comparisons.append(
            await reference.replay(
                make_messages(question), given.text, ended=given.finish_reason == "stop"
            )
        )
    groups = _group(comparisons)
    findings = [make_verdict(group, b"").finding for group in groups]
    right, usual = _count_right(said.canaries), _count_right(true.canaries)
    likeness = (
        compare_piles(said.piles, true.piles, seed=b"bench") if said.piles else Likeness(1, 0)
    )
    total = sum(comparisons, Comparison())
    return Row(
        provider=provider.name,
        honest=provider.honest,
        answers=len(said.answers),
        flawed=flawed,
        canaries=CANARIES,
        canaries_right=right,
        canaries_suspected=misses_too_often(CANARIES - right, CANARIES, usual * 10_000 // CANARIES),
        pile_looks=likeness.looks,
        pile_as_different=likeness.as_different,
        pile_suspected=bool(said.piles) and likeness.is_rare(one_in=RARE),
        tokens_compared=total.compared,
        tokens_matched=total.matched,
        tokens_first=total.first,
        groups=len(groups),
        groups_substituted=findings.count("substituted"),
        groups_open=findings.count("open"),
    )


def _group(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Answers together, as many as it takes to be judged."""
    groups, group = [], Comparison()
    for comparison in comparisons:
        group += comparison
        if group.compared >= COMPARED_MIN:
            groups.append(group)
            group = Comparison()
    return groups


def _count_right(texts: Sequence[str]) -> int:
    canaries = make_canaries(b"bench", CANARIES)
    return sum(is_right(canary, text) for canary, text in zip(canaries, texts, strict=True))


async def measure(questions: int, samples: int, only: Sequence[str]) -> AsyncIterator[Row]:
    """A row per provider, as soon as it is there."""
    asked = make_questions(questions)
    truth = Provider(name="truth", honest=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with load(truth, folder) as engine:
            true = await collect(engine, truth, asked, samples)
            for provider in PROVIDERS:
                if only and provider.name not in only:
                    continue
                if provider.turns:
                    said = replace(true, answers=turn(true.answers, provider.turns), piles=[])
                else:
                    async with load(provider, folder) as other:
                        said = await collect(other, provider, asked, samples)
                yield await judge(Reference(engine), provider, asked, said, true)


def show(row: Row) -> str:
    """A line of the table."""
    compared = max(1, row.tokens_compared)
    return (
        f"| {row.provider} | {'honest' if row.honest else 'cheat'} "
        f"| {row.flawed}/{row.answers} "
        f"| {row.canaries_right}/{row.canaries}{' !' if row.canaries_suspected else ''} "
        f"| {_show_piles(row)} "
        f"| {100 * row.tokens_first / compared:.1f} % "
        f"| {100 * row.tokens_matched / compared:.1f} % of {row.tokens_compared} "
        f"| {row.groups_substituted}/{row.groups} ({row.groups_open} open) |"
    )


def _show_piles(row: Row) -> str:
    if not row.pile_looks:
        return "-"
    return f"{row.pile_as_different}/{row.pile_looks}{' !' if row.pile_suspected else ''}"


HEAD: Final = (
    "| provider | is | flawed form | canaries right | piles: as different "
    "| first choices | tokens matched | groups found substituted |\n|---|---|---|---|---|---|---|---|"
)


async def run(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    print(json.dumps({"machine": describe_machine(), "revision": describe_revision()}))
    if not arguments.json:
        print(HEAD)
    async for row in measure(arguments.questions, arguments.samples, arguments.only):
        print(json.dumps(asdict(row)) if arguments.json else show(row), flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME")
    parser.add_argument("--json", action="store_true")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
