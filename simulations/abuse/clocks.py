"""Clocks that are wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dag.hold
from dag.genesis import Parameters
from meshnode.core.messages import Push
from simulations.abuse.arena import ENDLESS, SETTLE_MS, Forger, find_own_profile, tell
from simulations.abuse.rows import Row, Trial
from simulations.fidelity import remember_vertex
from simulations.world import World

if TYPE_CHECKING:
    from simulations.mesh import Mesh

AHEAD_S: Final = 600
HELD: Final = 800


def _make_mesh(trial: Trial, parameters: Parameters | None = None) -> tuple[World, Mesh]:
    world = World(trial.seed, traced=False)
    mesh = world.add_mesh(4, known_members=True, parameters=parameters)
    world.run_for(SETTLE_MS)
    return world, mesh


def stamp_ahead(trial: Trial) -> int:
    """Notes stamped up to ten minutes ahead; answers how far ahead the farthest in a store is."""
    loose = Parameters(future_hold_ms=ENDLESS)
    world, (victim, attacker, *_) = _make_mesh(trial, None if trial.guarded else loose)
    forger = Forger(attacker.identity, victim.settings.genesis)
    parent = find_own_profile(attacker)
    for seq in range(1, 11):
        ahead_ms = AHEAD_S * 1_000 * seq // 10
        signed = forger.make((parent,), seq=seq, time_ms=victim.read_clock_ms() + ahead_ms)
        tell(attacker, victim, Push((signed.wire,)))
        parent = signed.ref
    world.run_for(SETTLE_MS)
    newest_ms = max(remember_vertex(wire).vertex.time_ms for wire in victim.disk.newest_wires())
    return max(0, newest_ms - victim.read_clock_ms()) // 1_000


def fill_the_hold(trial: Trial) -> int:
    """Notes of the near future, 800 of them; answers how many are held at most."""
    world, (victim, attacker, *_) = _make_mesh(trial)
    forger = Forger(attacker.identity, victim.settings.genesis)
    time_ms = victim.read_clock_ms() + AHEAD_S * 1_000
    chain = forger.make_chain(find_own_profile(attacker), HELD, time_ms=time_ms)
    for start in range(0, HELD, 50):
        wires = tuple(signed.wire for signed in chain[start : start + 50])
        tell(attacker, victim, Push(wires))
    world.run_for(SETTLE_MS)
    return victim.summarise().held


def _any_number(_right: Any) -> int:
    return ENDLESS


ROWS: Final = (
    Row(
        name="clock-ahead",
        attack="notes stamped 1 to 10 minutes ahead",
        defence="what is over 120 s ahead is held until its time, over an hour dropped",
        code="dag/intake.py, dag/hold.py",
        figure="seconds a stored note is ahead",
        bound=120,
        mount=stamp_ahead,
    ),
    Row(
        name="hold-flood",
        attack="notes stamped 10 minutes ahead, 800 of them",
        defence="256 are held",
        code="dag/hold.py",
        figure="notes held",
        bound=256,
        mount=fill_the_hold,
        patches=((dag.hold, "HELD_MAX", _any_number),),
    ),
)
