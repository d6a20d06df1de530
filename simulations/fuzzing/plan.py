"""Drawing a plan: which kinds of fault there are, how often each, and then every single one.

Rates are drawn for every plan, so that some runs see one thing again and again and others a little
of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulations.churn import WeibullSessions, draw_churn, make_ipfs_lognormal, make_ipfs_weibull
from simulations.faults import (
    BEHAVIOURS,
    KINDS_MIN,
    MOMENTS,
    Byzantine,
    Churn,
    Crash,
    Cut,
    Drop,
    Fault,
    Hide,
    Jump,
    Pause,
    Restore,
    Skew,
    SlowHost,
    SlowLink,
    Twins,
    find_kinds,
)

if TYPE_CHECKING:
    import random

FIRST_MS: Final = 500
"""Nothing but clocks and twins goes wrong before."""
COUNT_MAX: Final = 5
"""Most faults of one kind in a plan."""
COUNTS_MAX: Final = {"byzantine": 10, "churn": 1}
"""Other bounds: there are many lies, and churn is many faults already."""
ABSENCES_MAX: Final = 20
"""Most faults that churn brings."""
LAST_MEAN_MS: Final = 3_000
"""How long faults last on average."""
KIND_SHARE: Final = 0.5


def draw_plan(stream: random.Random, nodes: int, safety_ms: int) -> tuple[Fault, ...]:
    """Draw faults of at least three kinds that are over when the safety phase is."""
    draw = _Draw(stream, nodes, safety_ms)
    kinds = [kind for kind in draw.kinds if stream.random() < KIND_SHARE]
    while len(kinds) < KINDS_MIN:
        kind = stream.choice(draw.kinds)
        if kind not in kinds:
            kinds.append(kind)
    faults: list[Fault] = []
    for kind in kinds:
        for _ in range(stream.randint(1, COUNTS_MAX.get(kind, COUNT_MAX))):
            faults.extend(_KINDS[kind](draw, len(faults) + 1))
    while len(find_kinds(tuple(faults))) < KINDS_MIN:  # liars or twins found nobody left to be
        faults.extend(_KINDS[stream.choice(draw.kinds)](draw, len(faults) + 1))
    return tuple(faults)


class _Draw:
    """Draws faults; each method gives those of one kind, the first with the number it is told."""

    def __init__(self, stream: random.Random, nodes: int, safety_ms: int) -> None:
        self._stream = stream
        self._nodes = nodes
        self._safety_ms = safety_ms
        dishonest = stream.sample(range(nodes), max(1, (nodes - 1) // 3))
        # Who is found out as a twin is silent from then on, and would lie no more.
        start = stream.randrange(2)
        self._liars = tuple(dishonest[start::2])
        self._doubles = tuple(dishonest[1 - start :: 2])
        self._twinned: dict[int, None] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of fault that these hosts can have."""
        absent = ("byzantine",) if not self._liars else () if self._doubles else ("twins",)
        return tuple(kind for kind in _KINDS if kind not in absent)

    def _draw_host(self) -> int:
        return self._stream.randrange(self._nodes)

    def _draw_pair(self) -> tuple[int, int]:
        one = self._draw_host()
        return one, (one + self._stream.randrange(1, self._nodes)) % self._nodes

    def _draw_start(self) -> int:
        return self._stream.randrange(FIRST_MS, self._safety_ms)

    def _draw_times(self) -> tuple[int, int]:
        """When something begins, and how long it lasts."""
        at_ms = self._draw_start()
        for_ms = int(self._stream.expovariate(1 / LAST_MEAN_MS)) + 50
        return at_ms, min(for_ms, self._safety_ms - at_ms)

    def make_crash(self, number: int) -> tuple[Fault, ...]:
        at_ms, down_ms = self._draw_times()
        moment = self._stream.choice(MOMENTS)
        effects = self._stream.randrange(40) if moment == "effects" else 0
        host = self._draw_host()
        return (
            Crash(
                number=number,
                host=host,
                at_ms=at_ms,
                down_ms=down_ms,
                moment=moment,
                effects=effects,
            ),
        )

    def make_churn(self, number: int) -> tuple[Fault, ...]:
        stream = self._stream
        hour_ms = stream.choice((500, 1_000, 3_000))
        sessions = stream.choice(
            (
                make_ipfs_weibull(hour_ms),
                make_ipfs_lognormal(hour_ms),
                WeibullSessions(1.0, 4 * hour_ms),
            )
        )
        hosts = sorted(stream.sample(range(self._nodes), stream.randint(1, self._nodes)))
        absences = draw_churn(
            stream,
            hosts,
            sessions,
            availability=stream.choice((0.5, 0.8, 0.95)),
            start_ms=FIRST_MS,
            duration_ms=self._safety_ms - FIRST_MS,
        )
        left = absences if len(absences) <= ABSENCES_MAX else stream.sample(absences, ABSENCES_MAX)
        return tuple(
            Churn(
                number=number + place,
                host=absence.host,
                at_ms=absence.at_ms,
                down_ms=min(absence.down_ms, self._safety_ms - absence.at_ms),
            )
            for place, absence in enumerate(left)
        )

    def make_pause(self, number: int) -> tuple[Fault, ...]:
        at_ms, for_ms = self._draw_times()
        return (Pause(number=number, host=self._draw_host(), at_ms=at_ms, for_ms=for_ms),)

    def make_cut(self, number: int) -> tuple[Fault, ...]:
        stream = self._stream
        at_ms, for_ms = self._draw_times()
        places = list(range(self._nodes))
        stream.shuffle(places)
        size = 1 if stream.random() < 0.3 else stream.randrange(1, self._nodes)
        return (
            Cut(
                number=number,
                at_ms=at_ms,
                for_ms=for_ms,
                sources=tuple(sorted(places[:size])),
                targets=tuple(sorted(places[size:])),
                both_ways=stream.random() < 0.7,
            ),
        )

    def make_slow_link(self, number: int) -> tuple[Fault, ...]:
        at_ms, for_ms = self._draw_times()
        source, target = self._draw_pair()
        return (SlowLink(number=number, source=source, target=target, at_ms=at_ms, for_ms=for_ms),)

    def make_slow_host(self, number: int) -> tuple[Fault, ...]:
        at_ms, for_ms = self._draw_times()
        host, factor = self._draw_host(), self._stream.choice((5, 20, 50))
        return (SlowHost(number=number, host=host, at_ms=at_ms, for_ms=for_ms, factor=factor),)

    def make_hide(self, number: int) -> tuple[Fault, ...]:
        at_ms, for_ms = self._draw_times()
        return (Hide(number=number, host=self._draw_host(), at_ms=at_ms, for_ms=for_ms),)

    def make_skew(self, number: int) -> tuple[Fault, ...]:
        offset_ms = self._stream.choice((0, -400, 900, -60_000, 60_000, 121_500))
        skew_ppb = self._stream.randint(-100_000, 100_000)
        host = self._draw_host()
        return (Skew(number=number, host=host, offset_ms=offset_ms, skew_ppb=skew_ppb),)

    def make_jump(self, number: int) -> tuple[Fault, ...]:
        by_ms = self._stream.choice((-2_000, -50, 50, 2_000, 30_000))
        return (Jump(number=number, host=self._draw_host(), at_ms=self._draw_start(), by_ms=by_ms),)

    def make_drop(self, number: int) -> tuple[Fault, ...]:
        one, other = self._draw_pair()
        return (Drop(number=number, one=one, other=other, at_ms=self._draw_start()),)

    def make_restore(self, number: int) -> tuple[Fault, ...]:
        percent = self._stream.randrange(30, 100)
        return (Restore(number=number, host=self._draw_host(), percent=percent),)

    def make_byzantine(self, number: int) -> tuple[Fault, ...]:
        stream = self._stream
        at_ms, for_ms = self._draw_times()
        return (
            Byzantine(
                number=number,
                host=stream.choice(self._liars),
                at_ms=at_ms,
                for_ms=for_ms,
                behaviour=stream.choice(BEHAVIOURS),
                percent=stream.choice((10, 40, 100)),
            ),
        )

    def make_twins(self, number: int) -> tuple[Fault, ...]:
        """The copy of a host; nothing where it has one already."""
        host = self._stream.choice(self._doubles)
        if host in self._twinned:
            return ()
        self._twinned[host] = None
        others = [other for other in range(self._nodes) if other != host]
        viewers = self._stream.sample(others, self._stream.randrange(1, len(others)))
        return (Twins(number=number, host=host, viewers=tuple(sorted(viewers))),)


_KINDS: Final[dict[str, Callable[[_Draw, int], tuple[Fault, ...]]]] = {
    "crash": _Draw.make_crash,
    "churn": _Draw.make_churn,
    "pause": _Draw.make_pause,
    "cut": _Draw.make_cut,
    "slow_link": _Draw.make_slow_link,
    "slow_host": _Draw.make_slow_host,
    "hide": _Draw.make_hide,
    "skew": _Draw.make_skew,
    "jump": _Draw.make_jump,
    "drop": _Draw.make_drop,
    "restore": _Draw.make_restore,
    "byzantine": _Draw.make_byzantine,
    "twins": _Draw.make_twins,
}
