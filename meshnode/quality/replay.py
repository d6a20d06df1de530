"""Level 2: walking through an answer with the model it is said to come from, token by token.

The own model says which token it would have chosen, and with what it was in doubt. Where the answer
has another one, the walk goes on behind that, so one difference is one difference and not the rest
of the answer. Only the text of an answer is known, not its tokens: what fits best is taken for it.

Near a tie two honest machines may choose differently, because sums are rounded in another order. So
a token counts as matched if it was at most `tie_mnat` less likely than the first choice, in
thousandths of the natural logarithm of the probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIE_MNAT: Final = 500
"""Measured: see the table of `benchmarks.bench_quality`."""
RESTARTS_MAX: Final = 64
"""Differences after which a walk ends: by then it is decided."""
STRANGE_BYTES_MAX: Final = 4
"""Bytes passed over as one token: as many as make one that is billed."""


@dataclass(frozen=True, slots=True)
class Step:
    """A token that the own model chose; empty where it ended the answer."""

    text: bytes
    others: tuple[tuple[bytes, int], ...] = ()
    """What else it had in mind, each with how much less likely it was, in thousandths."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many tokens were compared, and how many of them the own model could have chosen."""

    compared: int = 0
    matched: int = 0
    first: int = 0
    """Those of the matched ones that it would have chosen itself, without a tie."""

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.compared + other.compared,
            self.matched + other.matched,
            self.first + other.first,
        )


class Replay:
    """The walk through one answer. `begin` asks for a run, `take` is given its steps."""

    def __init__(self, answer: str, *, ended: bool, tie_mnat: int = TIE_MNAT) -> None:
        """`ended` says whether the answer is said to be complete, and not cut by a limit."""
        self._answer: Final = answer.encode()
        self._ended: Final = ended
        self._tie_mnat: Final = tie_mnat
        self._place = 0
        self._compared = 0
        self._matched = 0
        self._first = 0
        self._restarts = 0
        self._end_seen = False

    @property
    def result(self) -> Comparison:
        """As far as the walk has come."""
        return Comparison(self._compared, self._matched, self._first)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compare."""
        if self._restarts > RESTARTS_MAX:
            return True
        return self._place >= len(self._answer) and (self._end_seen or not self._ended)

    @property
    def bytes_left(self) -> int:
        """Of the answer."""
        return len(self._answer) - self._place

    def begin(self) -> str:
        """What of the answer stands fixed before the next run of the own model."""
        while self._place < len(self._answer) and self._answer[self._place] & 0xC0 == 0x80:
            self._place += 1  # a run begins between characters
        return self._answer[: self._place].decode()

    def take(self, step: Step) -> bool:
        """Compare a step; True while the run goes the way of the answer and may go on."""
        rest = self._answer[self._place :]
        self._compared += 1
        if not rest:
            self._end_seen = True
            self._first += not step.text
            self._matched += not step.text or self._is_near(step, b"")
            return False
        if step.text and rest.startswith(step.text):
            self._first += 1
            self._matched += 1
            self._place += len(step.text)
            return not self.is_done
        fitting = max(
            (text for text, _ in step.others if text and rest.startswith(text)),
            key=len,
            default=b"",
        )
        self._matched += bool(fitting) and self._is_near(step, fitting)
        self._place += len(fitting) or _count_strange(rest)
        self._restarts += 1
        return False

    def _is_near(self, step: Step, text: bytes) -> bool:
        return any(gap <= self._tie_mnat for other, gap in step.others if other == text)


def _count_strange(rest: bytes) -> int:
    """How much nobody had in mind: up to the next word, and no more than a token may have.

    Without that bound a long text without blanks would count as one token, and never be judged.
    """
    following = rest.find(b" ", 1, STRANGE_BYTES_MAX)
    return min(len(rest), STRANGE_BYTES_MAX) if following < 0 else following
