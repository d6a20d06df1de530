"""A vote over answers: the same answers give the same outcome, in whatever order they came.

Answers that say the same once case, spacing, outer punctuation and Markdown are left aside count as
one. Where an answer ends with a line `Answer: ...`, that line is what it says. The largest group
wins. Of groups of one size, the one whose words the other answers share most; then the one whose
text comes first in the alphabet. Within the winning group the text of the lowest seat is given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshnode.quality.agreement import compute_agreement_bp

_STATED: Final = re.compile(r"^\W*(?:final\s+)?answer\W*:\W*(\S.*)$", re.IGNORECASE)
_OUTER: Final = " \t\n.,;:!?\"'`*_#()[]{}\u201c\u201d\u2018\u2019"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """How a vote went."""

    winner: int
    """Position of the answer that is given."""
    votes: int
    voters: int
    groups: tuple[tuple[int, ...], ...]
    """Positions of answers that say the same, the winning group first."""
    tied: bool
    """Whether another group has as many."""


def vote(answers: Sequence[str]) -> Ballot:
    """Count answers; there is at least one."""
    said = [normalise(answer) for answer in answers]
    groups: dict[str, list[int]] = {}
    for position, text in enumerate(said):
        groups.setdefault(text, []).append(position)
    ranked = sorted(
        groups.items(), key=lambda each: (-len(each[1]), -_sum_agreement(each[1], said), each[0])
    )
    members = ranked[0][1]
    return Ballot(
        winner=members[0],
        votes=len(members),
        voters=len(answers),
        groups=tuple(tuple(positions) for _, positions in ranked),
        tied=len(ranked) > 1 and len(ranked[1][1]) == len(members),
    )


def normalise(answer: str) -> str:
    """What of an answer is compared."""
    lines = [line for line in answer.splitlines() if line.strip()]
    stated = _STATED.match(lines[-1]) if lines else None
    text = answer if stated is None else stated[1]
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(_OUTER)


def _sum_agreement(members: Sequence[int], said: Sequence[str]) -> int:
    own = said[members[0]]
    return sum(
        compute_agreement_bp(own, text)
        for position, text in enumerate(said)
        if position not in members
    )
