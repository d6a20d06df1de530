"""Faults as data: a plan is a list of records that can be read, edited, replayed and shrunk.

Times are virtual milliseconds, hosts are named by their place in the mesh. What a fault draws comes
from a stream of its own number, so taking one fault out of a plan leaves the others as they were.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

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


class Churn(Crash, frozen=True, kw_only=True, tag="churn"):
    """A host leaves, and comes back in its time; see `simulations.churn`."""


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
    | Churn
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
KINDS_MIN: Final = 3
"""Kinds of fault in a plan, at least."""


def find_kinds(faults: tuple[Fault, ...]) -> tuple[str, ...]:
    """The kinds of fault in a plan, each once."""
    return tuple(dict.fromkeys(type(fault).__name__.lower() for fault in faults))


def find_dishonest(faults: tuple[Fault, ...]) -> tuple[int, ...]:
    """The hosts of which nothing is expected."""
    hosts = [fault.host for fault in faults if isinstance(fault, Byzantine | Twins)]
    return tuple(sorted(dict.fromkeys(hosts)))


def find_clock_spread_ms(faults: tuple[Fault, ...]) -> int:
    """The farthest that two clocks of a plan can be apart: how long what one stamps may be held."""
    lows_ms: dict[int, int] = {}
    highs_ms: dict[int, int] = {}
    for fault in faults:
        if isinstance(fault, Skew | Jump):
            change_ms = fault.offset_ms if isinstance(fault, Skew) else fault.by_ms
            lows_ms[fault.host] = lows_ms.get(fault.host, 0) + min(0, change_ms)
            highs_ms[fault.host] = highs_ms.get(fault.host, 0) + max(0, change_ms)
    return max(highs_ms.values(), default=0) - min(lows_ms.values(), default=0)
