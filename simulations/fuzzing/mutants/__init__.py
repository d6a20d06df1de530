"""Seeded bugs: each breaks one promise on purpose, to show that a campaign finds it.

They are switched on for the time of one run by replacing an attribute, in simulations only; nothing
in the core knows of them. Each area has a module of its own with its `SEEDED`; what is new in the
core gets its bugs there, or a module beside them, and a line in `_ALL`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from simulations.errors import BadModel
from simulations.fidelity import forget
from simulations.fuzzing.mutants import (
    in_consensus,
    in_core,
    in_dag,
    in_disk,
    in_market,
    in_order,
)
from simulations.fuzzing.mutants.patches import Mutant

__all__ = ["MUTANTS", "Mutant", "switch_on"]

_ALL: Final = (
    *in_dag.SEEDED,
    *in_core.SEEDED,
    *in_disk.SEEDED,
    *in_consensus.SEEDED,
    *in_order.SEEDED,
    *in_market.SEEDED,
)
MUTANTS: Final = {mutant.name: mutant for mutant in _ALL}


@contextmanager
def switch_on(name: str) -> Iterator[None]:
    """Have a bug for a while; the empty name is none. Raises `BadModel` for an unknown one."""
    if not name:
        yield
        return
    if name not in MUTANTS:
        raise BadModel(f"no mutant is called {name}", hint=f"there are: {', '.join(MUTANTS)}")
    with ExitStack() as undo:
        for owner, attribute, make in MUTANTS[name].patches:
            right = owner.__dict__[attribute]
            undo.callback(setattr, owner, attribute, right)
            setattr(owner, attribute, make(right))
        # What was remembered with a bug must not be known without it, nor the other way round.
        undo.callback(forget)
        forget()
        yield
