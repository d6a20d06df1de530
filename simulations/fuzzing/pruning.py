"""Short histories: meshes that certify, forget and join from snapshots within seconds.

The numbers of genesis are made small, and so are the rounds that are kept below the horizon; else no
run would last until anything may be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

import consensus.floor
from simulations.faults import Crash

if TYPE_CHECKING:
    import random

    from simulations.faults import Fault


AWAY_SHARE: Final = 3 / 4
"""In so many of these runs somebody is away for long, and comes back to what others have forgotten."""
AWAY_MS: Final = 10_000
"""How much longer a run lasts for that."""
LEAVES_MS: Final = 3_000


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """Who forgets what, and how soon."""

    hosts: tuple[int, ...]
    """Who deletes history; everybody else keeps all of it."""
    checkpoint_commits: int
    gc_commits: int
    retained_rounds: int


def draw_pruning(stream: random.Random, nodes: int) -> Pruning:
    """Draw how a mesh of so many nodes forgets; somebody does."""
    hosts = [host for host in range(nodes) if stream.random() < 1 / 2]
    return Pruning(
        hosts=tuple(hosts or [stream.randrange(nodes)]),
        checkpoint_commits=stream.choice((5, 10, 20)),
        gc_commits=stream.choice((20, 60, 1_000)),
        retained_rounds=stream.choice((2, 10, 30)),
    )


def draw_absence(
    stream: random.Random, nodes: int, safety_ms: int, number: int
) -> tuple[Fault, ...]:
    """Perhaps a host that goes early and comes back late."""
    if stream.random() >= AWAY_SHARE:
        return ()
    at_ms = stream.randrange(LEAVES_MS)
    down_ms = stream.randrange((safety_ms - at_ms) // 2, safety_ms - at_ms)
    host = stream.randrange(nodes)
    return (Crash(number=number, host=host, at_ms=at_ms, down_ms=down_ms),)


@contextmanager
def keep_rounds(count: int) -> Iterator[None]:
    """Keep so many rounds below the horizon for a while; 0 for as many as nodes keep."""
    shipped = consensus.floor.RETAINED_ROUNDS
    vars(consensus.floor)["RETAINED_ROUNDS"] = count or shipped
    try:
        yield
    finally:
        vars(consensus.floor)["RETAINED_ROUNDS"] = shipped
