"""What a test is told: how many nodes, how much load, what weather, for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dag.genesis import FOUNDERS_MAX
from simulations.errors import BadModel
from simulations.maelstrom.network import DISTRIBUTIONS, Distribution

Workload = Literal["broadcast", "g-set"]
WORKLOADS: Final[tuple[Workload, ...]] = ("broadcast", "g-set")
RATE_MAX: Final = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides a test, apart from the program under test."""

    workload: Workload = "broadcast"
    nodes: int = 5
    rate: float = 10.0
    """Requests a second, of all clients together; half of them read."""
    time_limit_ms: int = 10_000
    quiet_ms: int = 10_000
    """Rest between the last request and the final reads."""
    latency_ms: int = 0
    distribution: Distribution = "constant"
    loss: float = 0.0
    partitions: bool = False
    partition_ms: int = 2_500
    """How long a partition lasts, and how long the network is whole between two."""
    seed: int = 0
    request_timeout_ms: int = 5_000
    """Who waits longer does not know what became of a request."""
    start_timeout_ms: int = 30_000
    """Processes are up by then."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.workload not in WORKLOADS:
            raise BadModel(
                f"no workload is called {self.workload}", hint=f"there are: {', '.join(WORKLOADS)}"
            )
        if self.distribution not in DISTRIBUTIONS:
            raise BadModel(
                f"no distribution is called {self.distribution}",
                hint=f"there are: {', '.join(DISTRIBUTIONS)}",
            )
        if not 1 <= self.nodes <= FOUNDERS_MAX:
            raise BadModel(f"{self.nodes} nodes", hint=f"use 1 to {FOUNDERS_MAX}")
        if not 0 < self.rate <= RATE_MAX:
            raise BadModel(f"a rate of {self.rate}", hint=f"use up to {RATE_MAX:.0f} a second")
        if not 0.0 <= self.loss < 1.0:
            raise BadModel(f"a loss of {self.loss}", hint="use a share from 0 up to below 1")
        times_ms = (self.time_limit_ms, self.partition_ms, self.request_timeout_ms)
        if min(times_ms) <= 0 or min(self.quiet_ms, self.latency_ms) < 0:
            raise BadModel("a time below zero", hint="use milliseconds, at least 1 for limits")

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, as Maelstrom gives them."""
        return tuple(f"n{number}" for number in range(1, self.nodes + 1))
