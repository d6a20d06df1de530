"""Level 1: whether two piles of answers come from one model, by nothing but their text.

The maximum mean discrepancy with the Hamming kernel: of two answers to one question, the share of
places with the same character. If both piles come from one model, it does not matter which pile an
answer lies in; so the piles are mixed again and again, and it is counted how often mixed piles look
as different as the real ones. The order of mixing follows from a seed: everybody finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dag.canonical import compute_digest

SHUFFLE_DOMAIN: Final = b"meshnode/quality-shuffle/1"
PLACES: Final = 64
"""Characters of an answer that are compared; a shorter one ends in blanks."""
ROUNDS: Final = 199
"""Mixings; with the real piles, 200 looks."""
PILE_MAX: Final = 256
Pile = Sequence[str]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How many of `looks` look at least as different as the real piles, these included."""

    as_different: int
    looks: int

    def is_rare(self, *, one_in: int) -> bool:
        """Whether piles of one model would look so different at most once in so many times."""
        return self.as_different * one_in <= self.looks


def compare_piles(
    first: Sequence[Pile], second: Sequence[Pile], *, seed: bytes, rounds: int = ROUNDS
) -> Likeness:
    """Compare answers, by question, of two providers. Every pile holds at least two answers.

    Raises `ValueError` for piles that cannot be compared.
    """
    if len(first) != len(second) or not first:
        raise ValueError("both sides need a pile for each question")
    if not all(2 <= len(pile) <= PILE_MAX for pile in (*first, *second)):
        raise ValueError(f"a pile holds 2 to {PILE_MAX} answers")
    if len({(len(ours), len(theirs)) for ours, theirs in zip(first, second, strict=True)}) > 1:
        raise ValueError("the piles of a side are equally large")
    tables = [_compare_all([*ours, *theirs]) for ours, theirs in zip(first, second, strict=True)]
    size, total = len(first[0]), len(first[0]) + len(second[0])
    real = list(range(total))
    base = sum(_measure(table, real, size) for table in tables)
    as_different = 1
    for number in range(rounds):
        looked = sum(
            _measure(table, _shuffle(total, seed, number, question), size)
            for question, table in enumerate(tables)
        )
        as_different += looked >= base
    return Likeness(as_different, rounds + 1)


def _compare_all(answers: Sequence[str]) -> list[list[int]]:
    padded = [answer[:PLACES].ljust(PLACES) for answer in answers]
    return [
        [sum(a == b for a, b in zip(one, other, strict=True)) for other in padded] for one in padded
    ]


def _measure(table: list[list[int]], order: list[int], size: int) -> int:
    """The discrepancy, unbiased, times the product of all the numbers it is divided by."""
    ours, theirs = order[:size], order[size:]
    own, other = len(ours) * (len(ours) - 1), len(theirs) * (len(theirs) - 1)
    crossed = sum(table[a][b] for a in ours for b in theirs)
    return (
        _sum_pairs(table, ours) * other * size * len(theirs)
        + _sum_pairs(table, theirs) * own * size * len(theirs)
        - 2 * crossed * own * other
    )


def _sum_pairs(table: list[list[int]], pile: list[int]) -> int:
    return sum(table[a][b] for a in pile for b in pile if a != b)


def _shuffle(count: int, seed: bytes, number: int, question: int) -> list[int]:
    order = list(range(count))
    prefix = seed + number.to_bytes(4, "big") + question.to_bytes(4, "big")
    for place in range(count - 1, 0, -1):
        drawn = compute_digest(SHUFFLE_DOMAIN, prefix + place.to_bytes(4, "big"))
        other = int.from_bytes(drawn[:8], "big") % (place + 1)
        order[place], order[other] = order[other], order[place]
    return order
