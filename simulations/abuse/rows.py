"""What an attack is, what it did, and how a defence is taken out for the time of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import msgspec

from simulations.fidelity import forget
from simulations.fuzzing.mutants.patches import Patch


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of an attack."""

    seed: int
    guarded: bool
    """Whether the defence is there; for rows that take it out by settings."""


Mount = Callable[[Trial], int]
"""Mounts an attack; answers what it did, the less the better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attack, and the one defence that is measured against it."""

    name: str
    attack: str
    """What the attacker does."""
    defence: str
    """What the core does about it."""
    code: str
    """Where."""
    figure: str
    """What is counted."""
    bound: int
    """The figure with the defence is at most this, and without it more."""
    mount: Mount
    patches: tuple[Patch, ...] = ()
    """What takes the defence out, beside what `mount` itself does with settings."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one row has shown."""

    row: str
    attack: str
    defence: str
    code: str
    figure: str
    seed: int
    without: int
    guarded: int
    bound: int

    @property
    def holds(self) -> bool:
        """Whether the defence keeps its bound, and the attack is one without it."""
        return self.guarded <= self.bound < self.without


@contextmanager
def switched_off(patches: tuple[Patch, ...]) -> Iterator[None]:
    """Do without parts of the core for a while."""
    with ExitStack() as undo:
        for owner, attribute, make in patches:
            right = owner.__dict__[attribute]
            undo.callback(setattr, owner, attribute, right)
            setattr(owner, attribute, make(right))
        # What was remembered without a check must not be known with it, nor the other way round.
        undo.callback(forget)
        forget()
        yield


def measure(row: Row, seed: int) -> Record:
    """Mount an attack without its defence and with it."""
    with switched_off(row.patches):
        without = row.mount(Trial(seed, guarded=False))
    return Record(
        row=row.name,
        attack=row.attack,
        defence=row.defence,
        code=row.code,
        figure=row.figure,
        seed=seed,
        without=without,
        guarded=row.mount(Trial(seed, guarded=True)),
        bound=row.bound,
    )
