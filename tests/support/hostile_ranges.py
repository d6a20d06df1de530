"""Answers to RANGES that are within every limit of a message, and lies.

Each is a function of the question, as `RangePair.compare` takes it.
"""

from __future__ import annotations

import random
from typing import Final

from dag.ranges import FINGERPRINT_BYTES, LEAF_REFS_MAX, make_lamport_bound
from meshnode.core.messages import RANGES_ANSWERED_MAX, Range, Ranges, encode_message
from meshnode.core.range_answers import ANSWER_BYTES_MAX
from tests.support.range_pair import check_limits

LEAVES: Final = 70
"""Of 32 names each, as many as fit a frame."""
LEAF_LAMPORTS: Final = 40


def split_evenly(question: Ranges, parts: int, chance: random.Random) -> Ranges:
    """Every asked range in so many parts of random fingerprints, as many as an answer holds."""
    found: list[Range] = []
    lower = question.lower
    for item in question.ranges:
        low = int.from_bytes(lower[:8].ljust(8, b"\x00"), "big")
        high = int.from_bytes(item.upper[:8].ljust(8, b"\x00"), "big")
        step = max(1, (high - low) // parts)
        inner = [value.to_bytes(8, "big") for value in range(low + step, high, step)]
        for bound in [*inner[: parts - 1], item.upper]:
            if lower < bound <= item.upper and len(found) < RANGES_ANSWERED_MAX:
                found.append(Range(bound, chance.randbytes(FINGERPRINT_BYTES)))
                lower = bound
        lower = item.upper
    answer = Ranges(question.session, True, question.lower, tuple(found))
    while len(encode_message(answer)) > ANSWER_BYTES_MAX:
        answer = Ranges(question.session, True, question.lower, answer.ranges[:-100])
    check_limits(answer)
    return answer


def name_nothing(question: Ranges, chance: random.Random) -> Ranges:
    """A frame full of names of vertices that nobody holds."""
    found = []
    low = int.from_bytes(question.lower[:8].ljust(8, b"\x00"), "big") + 1
    for number in range(LEAVES):
        start = low + number * LEAF_LAMPORTS
        names = [
            (start + at).to_bytes(8, "big") + chance.randbytes(16) for at in range(LEAF_REFS_MAX)
        ]
        bound = make_lamport_bound(start + LEAF_LAMPORTS - 1)
        found.append(Range(bound, b"".join(names)))
    return Ranges(question.session, True, question.lower, tuple(found))


def claim_nothing(question: Ranges) -> Ranges:
    """To hold nothing at all."""
    items = tuple(Range(item.upper, item.data and b"") for item in question.ranges)
    return Ranges(question.session, True, question.lower, items)
