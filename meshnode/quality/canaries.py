"""Level 1: questions with known answers, worded like anybody's.

What is asked follows from a secret seed, so nobody can prepare. A small model does not know
everything: what counts is whether a provider misses more than the model it sells would, by the same
table of chances that guards guarantees of availability.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dag.canonical import compute_digest
from market.amounts import BASIS_POINTS
from market.sla import find_miss_threshold

CANARY_DOMAIN: Final = b"meshnode/quality-canary/1"
CANARIES_MAX: Final = 64
_CAPITALS: Final = (
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Germany", "Berlin"),
    ("Japan", "Tokyo"),
    ("Greece", "Athens"),
    ("Egypt", "Cairo"),
    ("Portugal", "Lisbon"),
    ("Austria", "Vienna"),
    ("Russia", "Moscow"),
    ("China", "Beijing"),
    ("Norway", "Oslo"),
    ("Ireland", "Dublin"),
    ("Poland", "Warsaw"),
    ("Cuba", "Havana"),
    ("Peru", "Lima"),
)
_CAPITAL_FORMS: Final = (
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "Tell me the capital city of {}.",
    "I am planning a trip to {}. What is its capital?",
)
_SUM_FORMS: Final = ("What is {} + {}?", "How much is {} plus {}?", "Please add {} and {}.")
_WORDS: Final = (
    *("water", "river", "window", "garden", "silver", "music", "market", "winter"),
    *("paper", "orange", "castle", "doctor", "summer", "bridge", "letter", "planet"),
)
_COPY_FORMS: Final = (
    "Repeat these words: {}.",
    "Please write these words again: {}.",
    "Say this back to me: {}.",
)


@dataclass(frozen=True, slots=True)
class Canary:
    """A question, and the words that a right answer holds."""

    question: str
    expected: tuple[str, ...]


def make_canaries(seed: bytes, count: int) -> tuple[Canary, ...]:
    """Questions that follow from a seed: capitals, sums and repetitions, in turn."""
    makers = (_ask_capital, _ask_copy, _ask_sum)
    return tuple(
        makers[number % len(makers)](
            iter(compute_digest(CANARY_DOMAIN, seed + number.to_bytes(2, "big")))
        )
        for number in range(min(count, CANARIES_MAX))
    )


def is_right(canary: Canary, answer: str) -> bool:
    """Whether an answer holds every expected word, each as a word of its own."""
    words = dict.fromkeys(re.findall(r"\w+", answer.lower()))
    return all(each.lower() in words for each in canary.expected)


def misses_too_often(missed: int, asked: int, usual_bp: int) -> bool:
    """Whether an honest provider would miss so many at most once in a thousand times.

    `usual_bp` is the share of canaries that the model is known to answer rightly.
    """
    return missed >= find_miss_threshold(min(usual_bp, BASIS_POINTS), asked)


def _ask_capital(drawn: Iterator[int]) -> Canary:
    country, city = _CAPITALS[next(drawn) % len(_CAPITALS)]
    return Canary(_CAPITAL_FORMS[next(drawn) % len(_CAPITAL_FORMS)].format(country), (city,))


def _ask_sum(drawn: Iterator[int]) -> Canary:
    first, second = 2 + next(drawn) % 8, 2 + next(drawn) % 8
    form = _SUM_FORMS[next(drawn) % len(_SUM_FORMS)]
    return Canary(form.format(first, second), (str(first + second),))


def _ask_copy(drawn: Iterator[int]) -> Canary:
    words = tuple(_WORDS[next(drawn) % len(_WORDS)] for _ in range(3))
    return Canary(_COPY_FORMS[next(drawn) % len(_COPY_FORMS)].format(" ".join(words)), words)
