"""A run of a committee as data, and how one is drawn from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from consensus.protocol import ProfileName, make_profile
from simulations.consensus.liars import LIARS
from simulations.streams import Streams

if TYPE_CHECKING:
    import random

PROFILES: Final[tuple[ProfileName, ...]] = ("bft3", "bft5", "cft")
MEMBERS_MAX: Final = 10
ROUNDS_MIN: Final = 30
KINDS_MIN: Final = 3
FIRST_MS: Final = 200
COUNT_MAX: Final = 4
LAST_MEAN_MS: Final = 700
MOMENTS: Final = ("", "before_write", "after_write")
LONELY_KINDS: Final = ("crash", "clock", "disk")
"""What can happen to one alone."""
HONEST_KINDS: Final = (*LONELY_KINDS, "cut", "clog", "loss", "double")
"""What happens to those who do as they should; every other kind is a way of lying."""
CLOCKS_MS: Final = (-240_000, -3_000, -200, 200, 3_000, 240_000)
WRITES_MS: Final = (30, 120, 500)
"""How long a slow disk takes."""
LYING_KINDS: Final = ("twins", "twins", *LIARS)
UNEQUAL_SHARE: Final = 0.2


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong, from `at_ms` for `for_ms`; lies last from start to end."""

    kind: str
    at_ms: int = 0
    for_ms: int = 0
    node: int = 0
    """Whom it strikes; of a cut, the nodes of one side as bits."""
    amount: int = 0
    """Which moment of a crash; milliseconds of a clock or a write; percent of a loss."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One run; equal specs give equal digests."""

    seed: int
    stakes: tuple[int, ...]
    profile: ProfileName = "bft3"
    leaders_per_round: int = 1
    reputation_window: int = 0
    gc_depth: int = 60
    """Rounds below the last leader that are still put out."""
    drained: bool = False
    pushes_history: bool = True
    write_ms: int = 0
    median_ms: int = 20
    sigma: float = 0.1
    leader_timeout_ms: int = 400
    safety_ms: int = 3_000
    """How long things go wrong."""
    heal_ms: int = 60_000
    """How soon after that everything must be ordered everywhere."""
    mutant: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of fault, each once."""
        return tuple(sorted({fault.kind for fault in self.faults}))


def draw_spec(seed: int, *, mutant: str = "") -> Spec:
    """The run that a seed stands for."""
    stream = Streams(seed).get("consensus")
    members = stream.randint(1, MEMBERS_MAX)
    stakes = [1] * members
    if stream.random() < UNEQUAL_SHARE:
        stakes = [stream.randint(1, 4) for _ in range(members)]
    profile = stream.choice(PROFILES)
    safety_ms = stream.randrange(1_500, 3_500)
    return Spec(
        seed=seed,
        stakes=tuple(stakes),
        profile=profile,
        leaders_per_round=stream.choice((1, 1, 1, 2, min(3, members))),
        reputation_window=stream.choice((0, 0, 5, 20)),
        gc_depth=stream.choice((5, 20, 60)),
        drained=stream.random() < 0.5,
        pushes_history=stream.random() < 0.5,
        write_ms=stream.choice((0, 2, 10)),
        median_ms=stream.choice((5, 20, 60)),
        sigma=stream.choice((0.0, 0.1, 0.5, 1.0)),
        leader_timeout_ms=stream.choice((100, 200, 400)),
        safety_ms=safety_ms,
        mutant=mutant,
        faults=_draw_faults(stream, stakes, profile, safety_ms),
    )


def list_kinds(members: int) -> tuple[str, ...]:
    """What can happen to so many validators that do as they should."""
    return HONEST_KINDS if members > 1 else LONELY_KINDS


def _draw_faults(
    stream: random.Random, stakes: list[int], profile: ProfileName, safety_ms: int
) -> tuple[Fault, ...]:
    liars = _draw_liars(stream, stakes, profile)
    possible = list_kinds(len(stakes))
    kinds = [kind for kind in possible if stream.random() < 0.5]
    lying = [stream.choice(LYING_KINDS) for _ in liars]
    while len({*kinds, *lying}) < KINDS_MIN:
        kinds = sorted({*kinds, stream.choice(possible)})
    faults = [Fault(kind, node=liar) for kind, liar in zip(lying, liars, strict=True)]
    for kind in kinds:
        count = stream.randint(1, COUNT_MAX)
        faults += [_draw_fault(stream, kind, len(stakes), safety_ms) for _ in range(count)]
    return tuple(faults)


def _draw_liars(stream: random.Random, stakes: list[int], profile: ProfileName) -> list[int]:
    """Authors whose stake together is no more than the profile bears; two in three runs have all."""
    left = make_profile(profile, sum(stakes)).byzantine
    liars = []
    for author in stream.sample(range(len(stakes)), len(stakes)):
        if stakes[author] <= left and stream.random() < 2 / 3:
            left -= stakes[author]
            liars.append(author)
    return liars


def _draw_fault(stream: random.Random, kind: str, members: int, safety_ms: int) -> Fault:
    at_ms = stream.randrange(FIRST_MS, safety_ms)
    for_ms = min(int(stream.expovariate(1 / LAST_MEAN_MS)) + 20, safety_ms - at_ms)
    node, amount = stream.randrange(members), 0
    if kind == "cut":
        node = stream.randrange(1 << members)
    elif kind == "crash":
        amount = stream.randrange(len(MOMENTS))
    elif kind == "clock":
        amount = stream.choice(CLOCKS_MS)
    elif kind == "disk":
        amount = stream.choice(WRITES_MS)
    elif kind in {"loss", "double"}:
        amount = stream.choice((5, 20, 50))
    return Fault(kind, at_ms, for_ms, node, amount)
