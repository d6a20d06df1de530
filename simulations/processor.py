"""A CPU: one piece of work at a time, first come first served, and its own book-keeping.

Little's law (items in the system on average = arrivals per time x time each stays) holds exactly
for whatever ran from empty to empty, and is what the book-keeping is checked by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulations.kernel import Kernel


@dataclass(slots=True)
class Flow:
    """What went through a processor."""

    arrived: int = 0
    served: int = 0
    stayed_ns: int = 0
    """Summed over all that was served: waiting and service."""
    item_ns: int = 0
    """Items present, integrated over time."""
    _present: int = 0
    _changed_ns: int = 0

    def change(self, now_ns: int, by: int) -> None:
        """The number present changes."""
        self.item_ns += self._present * (now_ns - self._changed_ns)
        self._present += by
        self._changed_ns = now_ns

    @property
    def present(self) -> int:
        """Waiting or in service now."""
        return self._present

    @property
    def balanced(self) -> bool:
        """Whether Little's law holds; meaningful while nothing is present."""
        return self._present != 0 or self.item_ns == self.stayed_ns


class Processor:
    """Work for one target; each piece ends in an event of `kind` there."""

    __slots__ = ("_busy_until_ns", "_kernel", "_kind", "_target", "flow", "slowness")

    def __init__(self, kernel: Kernel, target: int, kind: int) -> None:
        self.flow = Flow()
        self.slowness = 1
        """Factor on the cost of what is submitted from now on."""
        self._kernel = kernel
        self._target = target
        self._kind = kind
        self._busy_until_ns = 0

    def submit(self, cost_ns: int, work: Any) -> None:
        """Do this after what came before; the event carries what `finish` takes."""
        now_ns = self._kernel.now_ns
        self.flow.arrived += 1
        self.flow.change(now_ns, 1)
        # One nanosecond at least, so that work never ties with the work before it.
        cost_ns = max(1, cost_ns * self.slowness)
        self._busy_until_ns = max(now_ns, self._busy_until_ns) + cost_ns
        self._kernel.schedule(self._busy_until_ns, self._target, self._kind, (now_ns, work))

    def finish(self, payload: tuple[int, Any]) -> Any:
        """Account for finished work, and hand it back."""
        arrived_ns, work = payload
        now_ns = self._kernel.now_ns
        self.flow.change(now_ns, -1)
        self.flow.served += 1
        self.flow.stayed_ns += now_ns - arrived_ns
        return work
