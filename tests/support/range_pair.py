"""Two stores of references that compare their ranges, message by message as on the wire.

pair = RangePair.build(common=2_000, differing=100)
pair.compare()
pair.session.needed, pair.size_bytes, pair.round_trips
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dag.authors import AuthorRegistry
from dag.errors import Offence
from dag.index import NOWHERE
from dag.ranges import START, RangeIndex, make_lamport_bound
from dag.types import Horizon, Ref
from meshnode.core.admission import Admission, decode_message
from meshnode.core.effects import Send
from meshnode.core.messages import Ranges, encode_message
from meshnode.core.outbox import Outbox
from meshnode.core.range_answers import AMPLIFICATION_MAX, RangeAnswers
from meshnode.core.range_session import RangeSession
from tests.support.dag_builder import make_genesis, make_person

SINCE_LAST_SYNC = 500
OVERLAP_LAMPORTS = 64

check_limits = Admission(
    b"", "ed25519", AuthorRegistry(make_genesis([make_person(0)])), lambda _: False
).check_message


@dataclass(eq=False)
class Shelf:
    """What answering reads of a store."""

    refs: Iterable[Ref] = ()
    horizon: Horizon = NOWHERE
    ranges: RangeIndex = field(default_factory=RangeIndex)

    def __post_init__(self) -> None:
        for ref in self.refs:
            self.ranges.add(ref)


@dataclass(eq=False)
class Growth:
    """A DAG that only knows its references.

    Everybody builds on the highest head it holds, and that is all but the last few vertices of
    others, which are still on their way.
    """

    chance: random.Random
    authors: int = 50
    lamports: list[int] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    late_max: int = 10

    def grow(self, count: int) -> list[Ref]:
        return [self._add() for _ in range(count)]

    def _add(self) -> Ref:
        author = self.chance.randrange(self.authors)
        arrived = len(self.lamports) - self.chance.randrange(self.late_max)
        highest = self.lamports[arrived - 1] if arrived > 0 else 0
        lamport = 1 + max(self.last.get(author, 0), highest)
        self.lamports.append(max([lamport, *self.lamports[-1:]]))
        self.last[author] = lamport
        return Ref(lamport, self.chance.randbytes(32))

    def part(self, seed: int) -> Growth:
        """The same history, continued by other people."""
        return Growth(random.Random(seed), self.authors, list(self.lamports), dict(self.last))


class Answerer:
    """A peer that answers from a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self.outbox = Outbox()
        self.offences: list[Offence] = []
        self.answers = RangeAnswers(self.outbox, shelf, self._offend)  # type: ignore[arg-type]

    def _offend(self, _now_ms: int, _peer: str, offence: Offence, _detail: str) -> None:
        self.offences.append(offence)

    def ask(self, question: Ranges, *, peer: str = "a", now_ms: int = 0) -> Ranges:
        """The answer, checked to be within every limit of a message."""
        self.answers.on_question(now_ms, peer, question)
        (effect,) = self.outbox.take()
        assert isinstance(effect, Send)
        assert isinstance(effect.message, Ranges)
        check_limits(effect.message)
        asked, answered = encode_message(question), encode_message(effect.message)
        assert len(answered) <= max(AMPLIFICATION_MAX * len(asked), 16)
        return effect.message


@dataclass(eq=False)
class RangePair:
    """One side asks, the other answers."""

    asking: Shelf
    answering: Shelf
    lower: bytes = START
    size_bytes: int = 0
    round_trips: float = 0.0
    session: RangeSession = field(init=False)

    @classmethod
    def build(cls, common: int, differing: int, *, seed: int = 1) -> RangePair:
        """Stores that were equal but for 500 vertices, and differ in half of `differing` each."""
        growth = Growth(random.Random(seed))
        refs = growth.grow(common)
        cut = sorted(refs)[-min(SINCE_LAST_SYNC, common)].lamport
        half = differing // 2
        asking = Shelf([*refs, *growth.part(seed + 1).grow(half)])
        answering = Shelf([*refs, *growth.part(seed + 2).grow(differing - half)])
        return cls(asking, answering, make_lamport_bound(max(0, cut - OVERLAP_LAMPORTS)))

    def compare(self, answer: Callable[[Ranges], Ranges | None] | None = None) -> RangeSession:
        """Run a session. An answer that finds no difference ends it, and counts as no round."""
        answer = answer or Answerer(self.answering).ask
        self.session = session = RangeSession(self.asking.ranges, 1, self.lower)
        while (question := session.ask()) is not None:
            check_limits(question)
            frame = encode_message(question)
            assert decode_message(frame) == question
            self.size_bytes += len(frame)
            answered = answer(question)
            if answered is None:
                break
            self.size_bytes += len(encode_message(answered))
            self.round_trips += 1.0 if answered.ranges else 0.5
            assert session.take(answered)
        return session
