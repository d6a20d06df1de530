"""Delta debugging: from a plan that breaks a promise to a small one that still does.

Parts of the plan are left out, halves first and then ever smaller ones, and what is not needed stays
out. In the end no single fault can be left out any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from simulations.fuzzing.run import run
from simulations.fuzzing.spec import Spec

Item = TypeVar("Item")
Tell = Callable[[int, int], None]
"""Told after every run how many runs there were and how many faults are left."""
RUNS_MAX = 400


def reduce(
    items: Sequence[Item], fails: Callable[[tuple[Item, ...]], bool], runs_max: int = RUNS_MAX
) -> tuple[Item, ...]:
    """A part of the items that still fails, of which nothing can be left out (ddmin).

    With `runs_max` trials at most; then the smallest part found so far.
    """
    kept = tuple(items)
    parts = 2
    runs = 0
    while kept:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            if runs >= runs_max:
                return kept
            runs += 1
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                return kept
            parts = min(len(kept), 2 * parts)
    return kept


def shrink(spec: Spec, check: str, *, runs_max: int = RUNS_MAX, tell: Tell | None = None) -> Spec:
    """The run with as few faults as break the same promise.

    A seeded bug may break several promises; the one named is held on to, so that the small plan
    shows the failure that was found and not another.
    """
    runs = 0
    fewest = len(spec.faults)

    def fails(faults: tuple[object, ...]) -> bool:
        nonlocal runs, fewest
        runs += 1
        is_broken = run(msgspec.structs.replace(spec, faults=faults)).check == check
        if is_broken:
            fewest = min(fewest, len(faults))
        if tell is not None:
            tell(runs, fewest)
        return is_broken

    return msgspec.structs.replace(spec, faults=reduce(spec.faults, fails, runs_max))
