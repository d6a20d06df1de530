"""Drives a test in virtual time: adapters in this process, one thread, the same seed the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulations.identities import START_MS
from simulations.maelstrom.adapter import Adapter
from simulations.maelstrom.node import MeshNode
from simulations.maelstrom.trial import Tell, Trial, say_nothing
from simulations.streams import derive_seed

if TYPE_CHECKING:
    from simulations.fidelity import Fidelity
    from simulations.maelstrom.plan import Plan

MakeAdapter = Callable[[str], Adapter]


def make_adapter(plan: Plan, name: str, fidelity: Fidelity = "cached") -> Adapter:
    """An adapter whose core draws from the plan's seed."""

    def make_node(own: str, names: Sequence[str], now_ms: int) -> MeshNode:
        seed = derive_seed(plan.seed, f"node {name}")
        return MeshNode(own, names, now_ms=now_ms, seed=seed, fidelity=fidelity)

    return Adapter(make_node)


class VirtualRun:
    """A test and its nodes, event by event."""

    def __init__(
        self, plan: Plan, make: MakeAdapter | None = None, tell: Tell = say_nothing
    ) -> None:
        """Begin.

        Args:
            plan: What to run.
            make: Makes the node of a name; the real one by default.
            tell: See `Trial`.
        """
        self.now_ms = START_MS
        self.trial = Trial(plan, self.now_ms, tell)
        self.adapters = {
            name: make(name) if make else make_adapter(plan, name) for name in plan.names
        }
        self._due_ms: dict[str, int | None] = dict.fromkeys(self.adapters)
        self._hash = hashlib.blake2b(digest_size=16)

    @property
    def digest(self) -> str:
        """Every line that was read and written, in 32 hex digits."""
        return self._hash.hexdigest()

    def run(self) -> Trial:
        """Run to the end."""
        while not self.trial.is_over:
            self.step()
        return self.trial

    def step(self) -> None:
        """Let nodes read what is theirs now, and the next thing happen."""
        self._exchange()
        deadlines = [self.trial.next_wakeup, *self._due_ms.values()]
        # A deadline that has passed comes a millisecond later: time goes on, whatever happens.
        next_ms = min(due_ms for due_ms in deadlines if due_ms is not None)
        self.now_ms = max(next_ms, self.now_ms + 1)
        self.trial.tick(self.now_ms)
        for name, due_ms in self._due_ms.items():
            if due_ms is not None and due_ms <= self.now_ms:
                self.adapters[name].tick(self.now_ms)
                self._collect(name)

    def _exchange(self) -> None:
        while lines := self.trial.take_lines(self.now_ms):
            for name, line in lines:
                self._note(name, line)
                self.adapters[name].receive(self.now_ms, line.rstrip(b"\n"))
                self._collect(name)

    def _collect(self, name: str) -> None:
        for line in self.adapters[name].take_lines(self.now_ms):
            self._note(name, line)
            self.trial.receive(self.now_ms, name, line.rstrip(b"\n"))
        self._due_ms[name] = self.adapters[name].next_wakeup

    def _note(self, name: str, line: bytes) -> None:
        self._hash.update(b"%d %s %s" % (self.now_ms, name.encode(), line))
