"""Answering RANGES: from the question and the store alone, within bounds that the asker cannot move.

An answer has at most 16 times the bytes of its question, and fits one frame. A session has 8
questions; a peer may have two sessions, begin one a second, and ask about most of a large
store once in ten minutes. What is beyond that is answered as if nothing differed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from dag.ranges import (
    CUT_REF_BYTES,
    FINGERPRINT_BYTES,
    LEAF_REFS_MAX,
    cut_ref,
    make_lamport_bound,
)
from meshnode.core.messages import RANGES_ANSWERED_MAX, Range, Ranges, encode_message

if TYPE_CHECKING:
    from dag.index import Index
    from dag.ranges import RangeIndex
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend

AMPLIFICATION_MAX: Final = 16
"""Bytes of an answer per byte of its question."""
ANSWER_BYTES_MAX: Final = 56_000
"""Leaves room in a frame of 60,000."""
ROUNDS_MAX: Final = 8
"""Questions of one session."""
SESSIONS_MAX: Final = 2
SESSION_GAP_MS: Final = 1_000
FULL_RANGE_MIN: Final = 4_096
"""A question about more vertices than this, and more than half of the store, is a full one."""
FULL_RANGE_GAP_MS: Final = 600_000
ASKERS_MAX: Final = 256
"""Peers of whom it is known what they asked."""
PART_BYTES_MAX: Final = 6 + CUT_REF_BYTES + FINGERPRINT_BYTES
HEADER_BYTES: Final = 3
"""What a message of many ranges takes more than one without."""


def measure_range(item: Range) -> int:
    """How many bytes a range takes in a message, rounded up."""
    return 6 + len(item.upper) + len(item.data or b"")


def is_full_range(ranges: RangeIndex, lower: bytes, upper: bytes) -> bool:
    """Whether a question is about most of a large store."""
    count = ranges.count(lower, upper)
    return count > FULL_RANGE_MIN and 2 * count > len(ranges)


@dataclass(slots=True, eq=False)
class _Asker:
    """What a connection has asked for; nothing of what was answered."""

    rounds: dict[int, int] = field(default_factory=dict)
    """Questions so far, by session."""
    opened_ms: int | None = None
    full_ms: int | None = None
    full_session: int = -1


class RangeAnswers:
    """Answers questions about ranges."""

    def __init__(self, outbox: Outbox, index: Index, offend: Offend) -> None:
        self._outbox = outbox
        self._index = index
        self._offend = offend
        self._askers: dict[str, _Asker] = {}

    def on_question(self, now_ms: int, peer: str, message: Ranges) -> None:
        """Answer, and charge who asks without end."""
        asker = self._get_asker(peer)
        rounds = asker.rounds.get(message.session, 0)
        if rounds >= ROUNDS_MAX:
            self._offend(now_ms, peer, Offence.FLOOD, f"more than {ROUNDS_MAX} rounds of RANGES")
            return
        granted = self._may_ask(now_ms, asker, message)
        answered = self._answer(message) if granted else ()
        lower = message.lower if answered else b""
        self._outbox.send((peer,), Ranges(message.session, True, lower, answered))

    def drop_peer(self, peer: str) -> None:
        """A connection has ended; its sessions may be numbered again, but not asked sooner."""
        asker = self._askers.get(peer)
        if asker is not None:
            asker.rounds.clear()
            asker.full_session = -1

    def _get_asker(self, peer: str) -> _Asker:
        asker = self._askers.get(peer)
        if asker is None:
            asker = self._askers[peer] = _Asker()
            if len(self._askers) > ASKERS_MAX:
                del self._askers[next(iter(self._askers))]
        return asker

    def _may_ask(self, now_ms: int, asker: _Asker, message: Ranges) -> bool:
        session = message.session
        if session not in asker.rounds:
            opened_ms, asker.opened_ms = asker.opened_ms, now_ms
            if opened_ms is not None and now_ms - opened_ms < SESSION_GAP_MS:
                return False
            if len(asker.rounds) >= SESSIONS_MAX:
                del asker.rounds[next(iter(asker.rounds))]
        asker.rounds[session] = asker.rounds.get(session, 0) + 1
        upper = message.ranges[-1].upper if message.ranges else message.lower
        if session == asker.full_session or not is_full_range(
            self._index.ranges, message.lower, upper
        ):
            return True
        if asker.full_ms is not None and now_ms - asker.full_ms < FULL_RANGE_GAP_MS:
            return False
        asker.full_ms, asker.full_session = now_ms, session
        return True

    def _answer(self, message: Ranges) -> tuple[Range, ...]:
        budget = min(ANSWER_BYTES_MAX, AMPLIFICATION_MAX * len(encode_message(message)))
        budget -= HEADER_BYTES + len(
            encode_message(Ranges(message.session, True, message.lower, ()))
        )
        answered: list[Range] = []
        lower, differs = message.lower, False
        for item in message.ranges:
            found = self._compare(lower, item, budget)
            if found is None or len(answered) + len(found) > RANGES_ANSWERED_MAX:
                break
            for answer in found:
                differs = differs or answer.data is not None
                budget -= measure_range(answer)
                if answer.data is None and answered and answered[-1].data is None:
                    answered.pop()
                answered.append(answer)
            lower = item.upper
        return tuple(answered) if differs else ()

    def _compare(self, lower: bytes, item: Range, budget: int) -> list[Range] | None:
        """What there is to say of a range, or None where the answer has no room for it."""
        # What was pruned cannot be compared: it counts as equal.
        lowest = self._index.horizon.lowest
        floor = make_lamport_bound(lowest + 1) if lowest else b""
        ranges = self._index.ranges
        same = item.data is None or item.upper <= floor
        if lower >= floor and not same:
            same = ranges.compute_fingerprint(lower, item.upper) == item.data
        if same:
            found = [Range(item.upper, None)]
        elif lower < floor:
            found = [Range(floor, None), *describe_range(ranges, floor, item.upper, budget)]
        else:
            found = describe_range(ranges, lower, item.upper, budget)
        fits = sum([measure_range(answer) for answer in found]) <= budget
        return found if fits else None


def describe_range(ranges: RangeIndex, lower: bytes, upper: bytes, budget: int) -> list[Range]:
    """Name what lies in a small range; cut a large one, or one that has no room, into parts."""
    if ranges.count(lower, upper) <= LEAF_REFS_MAX:
        names = dict.fromkeys([cut_ref(ref) for ref in ranges.iterate(lower, upper)])
        named = Range(upper, b"".join(names))
        if measure_range(named) <= budget:
            return [named]
    inner = ranges.split(lower, upper, parts_max=max(2, budget // PART_BYTES_MAX))
    return fingerprint_parts(ranges, lower, (*inner, upper))


def fingerprint_parts(ranges: RangeIndex, lower: bytes, bounds: tuple[bytes, ...]) -> list[Range]:
    """The fingerprints of the ranges that end at these bounds."""
    found = []
    for upper in bounds:
        found.append(Range(upper, ranges.compute_fingerprint(lower, upper)))
        lower = upper
    return found
