"""Hooks into a running world: for checkers, measurements and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshnode.core.effects import Effect
    from meshnode.core.events import Event
    from meshnode.core.inputs import Input
    from meshnode.core.messages import Message
    from simulations.host import Host
    from simulations.world import World


class Observer:
    """Override what is of interest; what is not overridden costs nothing.

    A checker raises `simulations.CheckFailed`. Observers look, and change nothing: a world must run
    alike with and without them.
    """

    def on_added(self, world: World) -> None:
        """The observer has been added to a world."""

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        """An event of the kernel has been handled; called after everything it caused."""

    def on_launched(
        self, source: int, target: int, message: Any, size_bytes: int, arrival_ns: int
    ) -> None:
        """A message of any node is under way, and when it will arrive; lost ones never are."""

    def on_input(self, host: Host, entry: Input) -> None:
        """A core is about to take an input."""

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A core has answered an input; the effects are about to be applied."""

    def on_fact(self, host: Host, event: Event) -> None:
        """A host's application is told something, after whatever it rests on is durable."""

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """A host has handed a message to a standing connection."""

    def on_delivered(self, host: Host, source: int, frame: bytes) -> None:
        """A message has reached a host that is up and connected."""

    def on_started(self, host: Host) -> None:
        """A host has come up, for the first time or from its disk."""

    def on_crashed(self, host: Host) -> None:
        """A host has gone down, with all that was not synced."""

    def on_end(self, world: World) -> None:
        """A run has reached its end (of `run_for` or `run_until`)."""


HOOKS = (
    "on_event",
    "on_launched",
    "on_input",
    "on_effects",
    "on_fact",
    "on_sent",
    "on_delivered",
    "on_started",
    "on_crashed",
    "on_end",
)


class Observers:
    """Which observer overrides which hook: `observers.on_fact` is a list of bound methods."""

    def __init__(self) -> None:
        self.on_event: list[Any] = []
        self.on_launched: list[Any] = []
        self.on_input: list[Any] = []
        self.on_effects: list[Any] = []
        self.on_fact: list[Any] = []
        self.on_sent: list[Any] = []
        self.on_delivered: list[Any] = []
        self.on_started: list[Any] = []
        self.on_crashed: list[Any] = []
        self.on_end: list[Any] = []

    def add(self, observer: Observer) -> None:
        """Call an observer's own hooks from now on."""
        for name in HOOKS:
            if getattr(type(observer), name) is not getattr(Observer, name):
                getattr(self, name).append(getattr(observer, name))


# --- guests --------------------------------------------------------------------------------------

_guests: ContextVar[tuple[Observer, ...]] = ContextVar("guests", default=())


@contextmanager
def invite(*observers: Observer) -> Iterator[None]:
    """Let these look at the first world that is made meanwhile.

    A measurement makes its world by itself; this is how one of its runs is recorded.
    """
    token = _guests.set(observers)
    try:
        yield
    finally:
        _guests.reset(token)


def take_guests() -> tuple[Observer, ...]:
    """The observers that a new world is to have, once."""
    guests = _guests.get()
    if guests:
        _guests.set(())
    return guests
