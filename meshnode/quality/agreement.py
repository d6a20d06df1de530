"""Level 1: how much two answers to one question have in common.

A soft signal. Two honest providers agree word by word only where nothing is left to chance, so this
chooses what to look at more closely, and never what to punish.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from typing import Final

BASIS_POINTS: Final = 10_000
_WORD: Final = re.compile(r"\w+")


def compute_agreement_bp(first: str, second: str) -> int:
    """Share of pairs of neighbouring words that both have, in basis points (Dice coefficient)."""
    pairs = [_count_pairs(text) for text in (first, second)]
    total = sum(pairs[0].values()) + sum(pairs[1].values())
    if not total:
        return BASIS_POINTS
    return 2 * sum((pairs[0] & pairs[1]).values()) * BASIS_POINTS // total


def _count_pairs(text: str) -> Counter[tuple[str, str]]:
    # The marks at both ends make a pair even of a single word.
    words = ["", *_WORD.findall(text.lower()), ""]
    return Counter(pairwise(words)) if len(words) > 2 else Counter()
