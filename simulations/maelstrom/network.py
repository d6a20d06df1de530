"""The network between the nodes of a test: it delays, loses and parts, and counts what it carries."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import random

Distribution = Literal["constant", "uniform", "exponential"]
DISTRIBUTIONS: Final[tuple[Distribution, ...]] = ("constant", "uniform", "exponential")


class Network:
    """Lines on their way from node to node."""

    def __init__(
        self,
        stream: random.Random,
        *,
        latency_ms: int,
        distribution: Distribution = "constant",
        loss: float = 0.0,
    ) -> None:
        """Begin empty and whole.

        Args:
            stream: Where delays and losses are drawn from.
            latency_ms: Mean one-way delay.
            distribution: How delays spread about the mean.
            loss: Share of lines that vanish, from 0 to 1.
        """
        self.sent = 0
        self.lost = 0
        self._stream = stream
        self._latency_ms = latency_ms
        self._distribution: Distribution = distribution
        self._loss = loss
        self._sides: dict[str, int] = {}
        self._heap: list[tuple[int, int, str, str, bytes]] = []

    def send(self, now_ms: int, source: str, target: str, line: bytes) -> None:
        """Carry a line, or lose it."""
        self.sent += 1
        if self._loss and self._stream.random() < self._loss:
            self.lost += 1
        else:
            due_ms = now_ms + self._draw_delay_ms()
            heappush(self._heap, (due_ms, self.sent, source, target, line))

    def _draw_delay_ms(self) -> int:
        if self._distribution == "uniform":
            return round(self._stream.uniform(0, 2 * self._latency_ms))
        if self._distribution == "exponential" and self._latency_ms:
            return round(self._stream.expovariate(1 / self._latency_ms))
        return self._latency_ms

    def part(self, sides: Mapping[str, int]) -> None:
        """Let nothing through between nodes of different sides, lines on their way included."""
        self._sides = dict(sides)

    def heal(self) -> None:
        """Let everything through again."""
        self._sides = {}

    @property
    def is_parted(self) -> bool:
        """Whether a partition stands."""
        return bool(self._sides)

    @property
    def next_ms(self) -> int | None:
        """When the next line arrives."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int) -> list[tuple[str, bytes]]:
        """Lines that arrive now, each with its receiver."""
        arrived = []
        while self._heap and self._heap[0][0] <= now_ms:
            _, _, source, target, line = heappop(self._heap)
            if self._sides.get(source) == self._sides.get(target):
                arrived.append((target, line))
            else:
                self.lost += 1
        return arrived
