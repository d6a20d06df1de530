"""Faults as data: a plan is a list of records that can be read, edited, replayed and shrunk.

Times are virtual milliseconds, hosts are named by their place in the mesh. What a fault draws comes
from a stream of its own number, so taking one fault out of a plan leaves the others as they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

if TYPE_CHECKING:
    import random

Behaviour = Literal[
    "withhold",
    "mute",
    "announce",
    "garble",
    "replay",
    "flood",
    "misreport",
    "tamper",
    "impersonate",
    "orphan",
    "misnumber",
    "misplace",
    "slander",
]
"""What a lying host does; see `simulations.mutators`."""
BEHAVIOURS: Final[tuple[Behaviour, ...]] = (
    "withhold",
    "mute",
    "announce",
    "garble",
    "replay",
    "flood",
    "misreport",
    "tamper",
    "impersonate",
    "orphan",
    "misnumber",
    "misplace",
    "slander",
)
Moment = Literal["now", "effects", "sync"]
MOMENTS: Final[tuple[Moment, ...]] = ("now", "effects", "sync")


class _Fault(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault"):
    number: int
    """Names the stream this fault draws from."""


class Crash(_Fault, frozen=True, kw_only=True, tag="crash"):
    """A host loses power, and comes back from its disk."""

    host: int
    at_ms: int
    down_ms: int
    moment: Moment = "now"
    """`effects`: after so many more effects, so in the middle of a batch; `sync`: while the next
    transaction is being written, which tears it."""
    effects: int = 0


class Pause(_Fault, frozen=True, kw_only=True, tag="pause"):
    """A host stands still; its connections stay."""

    host: int
    at_ms: int
    for_ms: int


class Cut(_Fault, frozen=True, kw_only=True, tag="cut"):
    """What these hosts send does not reach those."""

    at_ms: int
    for_ms: int
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    both_ways: bool = True


class SlowLink(_Fault, frozen=True, kw_only=True, tag="slow_link"):
    """What one host sends to another waits until the end."""

    source: int
    target: int
    at_ms: int
    for_ms: int


class SlowHost(_Fault, frozen=True, kw_only=True, tag="slow_host"):
    """Everything a host does takes a multiple of the time."""

    host: int
    at_ms: int
    for_ms: int
    factor: int


class Hide(_Fault, frozen=True, kw_only=True, tag="hide"):
    """Nobody can call a host, as behind a NAT."""

    host: int
    at_ms: int
    for_ms: int


class Skew(_Fault, frozen=True, kw_only=True, tag="skew"):
    """A host's clock is off from the start, and runs too fast or too slow."""

    host: int
    offset_ms: int
    skew_ppb: int


class Jump(_Fault, frozen=True, kw_only=True, tag="jump"):
    """A host's clock is set."""

    host: int
    at_ms: int
    by_ms: int


class Drop(_Fault, frozen=True, kw_only=True, tag="drop"):
    """A connection breaks."""

    one: int
    other: int
    at_ms: int


class Byzantine(_Fault, frozen=True, kw_only=True, tag="byzantine"):
    """A host lies in what it sends."""

    host: int
    at_ms: int
    for_ms: int
    behaviour: Behaviour
    percent: int
    """Of the messages that offer the occasion."""


class Twins(_Fault, frozen=True, kw_only=True, tag="twins"):
    """Two copies of a host run under one identity from the start."""

    host: int
    viewers: tuple[int, ...]
    """Who is led to the copy."""


class Restore(_Fault, frozen=True, kw_only=True, tag="restore"):
    """When all is well again, a host goes down and comes back with an old copy of its disk.

    Not before: while its peers lack its last vertices, nobody can tell it what it has forgotten.
    """

    host: int
    percent: int
    """How many of its transactions the copy holds."""


Fault = (
    Crash
    | Pause
    | Cut
    | SlowLink
    | SlowHost
    | Hide
    | Skew
    | Jump
    | Drop
    | Byzantine
    | Twins
    | Restore
)
FIRST_MS: Final = 500
"""Nothing but clocks and twins goes wrong before."""
COUNT_MAX: Final = 5
"""Most faults of one kind in a drawn plan."""
LIES_MAX: Final = 10
"""Most times hosts lie: there are many lies."""
KINDS_MIN: Final = 3


def find_kinds(faults: tuple[Fault, ...]) -> tuple[str, ...]:
    """The kinds of fault in a plan, each once."""
    return tuple(dict.fromkeys(type(fault).__name__.lower() for fault in faults))


def find_dishonest(faults: tuple[Fault, ...]) -> tuple[int, ...]:
    """The hosts of which nothing is expected."""
    hosts = [fault.host for fault in faults if isinstance(fault, Byzantine | Twins)]
    return tuple(sorted(dict.fromkeys(hosts)))


def draw_plan(stream: random.Random, nodes: int, safety_ms: int) -> tuple[Fault, ...]:
    """Draw which kinds of fault there are, how often each, and then every single one."""
    draw = _Draw(stream, nodes, safety_ms)
    kinds = [kind for kind in draw.kinds if stream.random() < 0.5]
    while len(kinds) < KINDS_MIN:
        kind = stream.choice(draw.kinds)
        if kind not in kinds:
            kinds.append(kind)
    faults: list[Fault] = []
    for kind in kinds:
        count_max = LIES_MAX if kind == "byzantine" else COUNT_MAX
        for _ in range(stream.randint(1, count_max)):
            fault = draw.make(kind, len(faults) + 1)
            if fault is not None:
                faults.append(fault)
    return tuple(faults)


class _Draw:
    """Draws single faults that all end within the safety phase."""

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

    def make(self, kind: str, number: int) -> Fault | None:
        """A fault of a kind; None where there can be no more of it."""
        stream, host = self._stream, self._stream.randrange(self._nodes)
        at_ms = stream.randrange(FIRST_MS, self._safety_ms)
        for_ms = min(int(stream.expovariate(1 / 3_000)) + 50, self._safety_ms - at_ms)
        match kind:
            case "crash":
                moment = stream.choice(MOMENTS)
                effects = stream.randrange(40) if moment == "effects" else 0
                return Crash(
                    number=number,
                    host=host,
                    at_ms=at_ms,
                    down_ms=for_ms,
                    moment=moment,
                    effects=effects,
                )
            case "pause":
                return Pause(number=number, host=host, at_ms=at_ms, for_ms=for_ms)
            case "cut":
                return self._make_cut(number, at_ms, for_ms)
            case "slow_link":
                target = (host + stream.randrange(1, self._nodes)) % self._nodes
                return SlowLink(
                    number=number, source=host, target=target, at_ms=at_ms, for_ms=for_ms
                )
            case "slow_host":
                factor = stream.choice((5, 20, 50))
                return SlowHost(number=number, host=host, at_ms=at_ms, for_ms=for_ms, factor=factor)
            case "hide":
                return Hide(number=number, host=host, at_ms=at_ms, for_ms=for_ms)
            case "skew":
                offset_ms = stream.choice((0, -400, 900, -60_000, 60_000, 121_500))
                skew_ppb = stream.randint(-100_000, 100_000)
                return Skew(number=number, host=host, offset_ms=offset_ms, skew_ppb=skew_ppb)
            case "jump":
                by_ms = stream.choice((-2_000, -50, 50, 2_000, 30_000))
                return Jump(number=number, host=host, at_ms=at_ms, by_ms=by_ms)
            case "drop":
                other = (host + stream.randrange(1, self._nodes)) % self._nodes
                return Drop(number=number, one=host, other=other, at_ms=at_ms)
            case "restore":
                return Restore(number=number, host=host, percent=stream.randrange(30, 100))
            case "byzantine":
                return self._make_byzantine(number, at_ms, for_ms)
            case _:
                return self._make_twins(number)

    def _make_cut(self, number: int, at_ms: int, for_ms: int) -> Cut:
        stream = self._stream
        places = list(range(self._nodes))
        stream.shuffle(places)
        size = 1 if stream.random() < 0.3 else stream.randrange(1, self._nodes)
        return Cut(
            number=number,
            at_ms=at_ms,
            for_ms=for_ms,
            sources=tuple(sorted(places[:size])),
            targets=tuple(sorted(places[size:])),
            both_ways=stream.random() < 0.7,
        )

    def _make_byzantine(self, number: int, at_ms: int, for_ms: int) -> Byzantine:
        stream = self._stream
        return Byzantine(
            number=number,
            host=stream.choice(self._liars),
            at_ms=at_ms,
            for_ms=for_ms,
            behaviour=stream.choice(BEHAVIOURS),
            percent=stream.choice((10, 40, 100)),
        )

    def _make_twins(self, number: int) -> Twins | None:
        host = self._stream.choice(self._doubles)
        if host in self._twinned:
            return None
        self._twinned[host] = None
        others = [other for other in range(self._nodes) if other != host]
        viewers = self._stream.sample(others, self._stream.randrange(1, len(others)))
        return Twins(number=number, host=host, viewers=tuple(sorted(viewers)))


_KINDS: Final = (
    "crash",
    "pause",
    "cut",
    "slow_link",
    "slow_host",
    "hide",
    "skew",
    "jump",
    "drop",
    "restore",
    "byzantine",
    "twins",
)
