"""What every attack has in its hands, and how attacks are listed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.campaigns.wire import Line, line
from tests.campaigns.world import Member, World
from tests.support.hostile_bytes import Mutator


@dataclass
class Hands:
    """One attacker at work: sources of chance that a seed repeats, and fresh names."""

    world: World
    number: int
    """Of the attack; every one comes under another key and from another loopback address."""
    batch: int
    """How many frames to send where many make sense."""
    seed: int
    members: tuple[Member, ...] = ()
    sent: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}/{self.number}")
        self.mutator = Mutator(self.random.randrange(2**32))

    @property
    def source(self) -> str:
        """A loopback address: limits per address must not be what saves the node."""
        return f"127.0.{2 + self.number // 200 % 200}.{1 + self.number % 200}"

    def line(self, name: str = "") -> AbstractAsyncContextManager[Line]:
        """A connection under a key nobody has seen."""
        return line(self.world, name or f"mallory {self.seed}/{self.number}", self.source)


@dataclass(frozen=True)
class Attack:
    """Something a hostile peer does, and the name under which the node must count it."""

    name: str
    counted_as: str
    """An offence, or a counter of the transport; empty for what is answered politely."""
    run: Callable[[Hands], Awaitable[int]]
    """Does it once; returns how many frames, streams or connections went out.

    0 where this machine could not mount it; then there is nothing to count.
    """


Run = Callable[[Hands], Awaitable[int]]


class Catalogue:
    """Attacks by name."""

    def __init__(self) -> None:
        self.attacks: list[Attack] = []

    def add(self, counted_as: str) -> Callable[[Run], Run]:
        """List an attack under its function's name."""

        def register(run: Run) -> Run:
            name = run.__name__.replace("_", " ")
            self.attacks.append(Attack(name, counted_as, run))
            return run

        return register
