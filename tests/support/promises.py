"""What nodes promised to keep: who acknowledged which vertex and when, and what became of each.

A node that was away may find a vertex of its own below the horizon of the order; it then says the
same again. So a promise is kept by the vertex itself or by one that its author said in its stead,
which is known by its words: no member says the same twice by itself. It is broken if neither is
final, and also if both are, or two of the latter, because what was said once then counts twice.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from meshnode.views import VertexInfo

NEAR_MS = 2_000
"""A kill so soon after an acknowledgement is named as near."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One vertex that a member's node acknowledged."""

    vertex: str
    member: str
    author: str
    text: str
    """What it says, in one line."""
    seq: int
    lamport: int
    submitted_s: float
    acknowledged_s: float


@dataclass(slots=True)
class Trace:
    """What became of all promises."""

    final: int = 0
    """Themselves."""
    repeated: dict[str, str] = field(default_factory=dict)
    """By promised vertex the one that is final in its stead."""
    untraced: list[Promise] = field(default_factory=list)
    doubled: list[tuple[Promise, tuple[str, ...]]] = field(default_factory=list)
    """With everything final that says the same."""


class Promises:
    """Every promise of a campaign, and when its members were killed."""

    def __init__(self, *, began_s: float = 0.0) -> None:
        self._began_s = began_s
        self._kept: dict[str, Promise] = {}
        self._chains: dict[str, dict[int, Promise]] = {}
        """By author and seq."""
        self._kills: dict[str, list[float]] = {}
        self._starts: dict[str, list[float]] = {}
        self.ambiguous: list[str] = []
        """What was promised twice in the same words: which of them is kept cannot be told."""
        self._words: dict[tuple[str, str], Promise] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(
        self, member: str, info: VertexInfo, *, submitted_s: float, acknowledged_s: float
    ) -> None:
        """A member's node acknowledged a vertex."""
        promise = Promise(
            info.id,
            member,
            info.author,
            info.summary,
            info.seq,
            info.lamport,
            submitted_s,
            acknowledged_s,
        )
        self._kept[promise.vertex] = promise
        self._chains.setdefault(promise.author, {})[promise.seq] = promise
        known = self._words.setdefault((promise.author, promise.text), promise)
        if known is not promise:
            self.ambiguous.append(f"{member} said {info.summary!r} as {known.vertex} and {info.id}")

    def note_kill(self, member: str, at_s: float) -> None:
        """A member's node is killed now."""
        self._kills.setdefault(member, []).append(at_s)

    def note_start(self, member: str, at_s: float) -> None:
        """It is up again."""
        self._starts.setdefault(member, []).append(at_s)

    def trace(self, finals: Container[str], said: Mapping[str, tuple[str, str]]) -> Trace:
        """Where each promise went. `said`: of every known vertex its author, and its words."""
        stand_ins: dict[tuple[str, str], list[str]] = {}
        for vertex, words in said.items():
            if words in self._words and vertex in finals and vertex not in self._kept:
                stand_ins.setdefault(words, []).append(vertex)
        trace = Trace()
        for promise in self._kept.values():
            again = stand_ins.get((promise.author, promise.text), [])
            found = (*([promise.vertex] if promise.vertex in finals else []), *again)
            if not found:
                trace.untraced.append(promise)
            elif found[0] == promise.vertex:
                trace.final += 1
            else:
                trace.repeated[promise.vertex] = found[0]
            if len(found) > 1:
                trace.doubled.append((promise, found))
        return trace

    def describe(self, promise: Promise, finals: Container[str]) -> str:
        """Which one it is, whose, when it was promised, how near a kill, and what is beside it."""
        chain = self._chains[promise.author]
        beside = [
            f"{name} it ({other.vertex[:16]}, {_count_ms(promise, other)} ms) is"
            f"{'' if other.vertex in finals else ' not'} final itself"
            for name, other in (
                ("the one promised before", _find_near(chain, promise.seq, max, _is_below)),
                ("the one promised after", _find_near(chain, promise.seq, min, _is_above)),
            )
            if other is not None
        ]
        took_ms = round(1_000 * (promise.acknowledged_s - promise.submitted_s))
        who = (
            f"{promise.vertex} ({promise.text[:32]!r}) by {promise.member} "
            f"({promise.author[:16]}), seq {promise.seq}, lamport {promise.lamport}"
        )
        when = (
            f"acknowledged at {promise.acknowledged_s - self._began_s:.3f} s, "
            f"{took_ms} ms after it was submitted"
        )
        return "; ".join((who, when, self._describe_kills(promise), *beside))

    def _describe_kills(self, promise: Promise) -> str:
        at_s = promise.acknowledged_s
        kills = [each for each in self._kills.get(promise.member, ()) if each >= at_s]
        starts = [each for each in self._starts.get(promise.member, ()) if each <= at_s]
        before = f"up again {at_s - starts[-1]:.3f} s before, " if starts else ""
        if not kills:
            return f"{before}never killed after it"
        ms = round(1_000 * (kills[0] - at_s))
        back = [each for each in self._starts.get(promise.member, ()) if each > kills[0]]
        away = f" for {back[0] - kills[0]:.1f} s" if back else " until the end"
        near = "within" if ms <= NEAR_MS else "not within"
        return f"{before}killed {ms} ms after it{away} ({near} {NEAR_MS} ms)"


def _is_below(seq: int, limit: int) -> bool:
    return seq < limit


def _is_above(seq: int, limit: int) -> bool:
    return seq > limit


def _find_near(
    chain: Mapping[int, Promise],
    seq: int,
    choose: Callable[[Iterable[int]], int],
    is_beside: Callable[[int, int], bool],
) -> Promise | None:
    beside = [each for each in chain if is_beside(each, seq)]
    return chain[choose(beside)] if beside else None


def _count_ms(promise: Promise, other: Promise) -> str:
    return f"{round(1_000 * (other.acknowledged_s - promise.acknowledged_s)):+d}"
