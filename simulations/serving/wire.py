"""Carries what routers and replicas tell each other: late, in order, and not across a partition.

What is sent into a partition, or is under way when it begins, arrives once it has healed: connections
send again what nobody confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulations.kernel import NS_PER_MS, Kernel

if TYPE_CHECKING:
    import random

    from simulations.serving.fleet import Paths

_Message = tuple[bool, Callable[..., object], tuple[object, ...]]
"""Whether it goes back to the router, and what happens when it arrives."""


class Wire:
    """One connection between every router and every replica, both ways."""

    def __init__(self, kernel: Kernel, paths: Paths, stream: random.Random) -> None:
        self._kernel = kernel
        self._paths = paths
        self._stream = stream
        self._last_ns: dict[tuple[int, int, bool], int] = {}
        self._cut: dict[tuple[int, int], list[_Message]] = {}
        """Pairs of router and replica that do not reach each other now, and what waits there."""

    def cut(self, router: int, replica: int) -> None:
        """Let the two not reach each other."""
        self._cut.setdefault((router, replica), [])

    def heal(self, router: int, replica: int) -> None:
        """Let them reach each other again."""
        for back, action, arguments in self._cut.pop((router, replica), []):
            self._carry(router, replica, back, action, arguments)

    def to_replica(
        self, router: int, replica: int, action: Callable[..., object], *arguments: object
    ) -> None:
        """Let something happen at a replica."""
        self._carry(router, replica, False, action, arguments)

    def to_router(
        self, router: int, replica: int, action: Callable[..., object], *arguments: object
    ) -> None:
        """Let something happen at a router."""
        self._carry(router, replica, True, action, arguments)

    def _carry(
        self,
        router: int,
        replica: int,
        back: bool,  # noqa: FBT001 - one of two directions, said by the callers above
        action: Callable[..., object],
        arguments: tuple[object, ...],
    ) -> None:
        held = self._cut.get((router, replica))
        if held is not None:
            held.append((back, action, arguments))
            return
        delay_ms = self._paths.draw_one_way_ms(router, replica, self._stream)
        due_ns = self._kernel.now_ns + round(delay_ms * NS_PER_MS)
        # A connection keeps its order, however the network feels.
        key = (router, replica, back)
        due_ns = self._last_ns[key] = max(due_ns, self._last_ns.get(key, 0))
        self._kernel.at(due_ns, self._arrive, router, replica, (back, action, arguments))

    def _arrive(self, router: int, replica: int, message: _Message) -> None:
        held = self._cut.get((router, replica))
        if held is not None:
            held.append(message)
            return
        _, action, arguments = message
        action(*arguments)
