"""What a simulation can end in, apart from its result.

SimulationError
  BadModel            a latency table, topology or setting that makes no sense
  Unreached           a condition never came true within its limit
  CheckFailed         a checker found a broken promise
  SimulationFailed    a node or checker raised: carries what is needed to see it again
"""

from __future__ import annotations

from dag.errors import MeshError


class SimulationError(MeshError):
    """A simulation cannot go on, or must not."""

    code = "simulation_error"


class BadModel(SimulationError):
    """A model's parameters contradict themselves."""

    code = "bad_model"


class Unreached(SimulationError):
    """The condition a run waited for did not hold in time."""

    code = "unreached"


class CheckFailed(SimulationError):
    """A promise was broken; `check` names which."""

    code = "check_failed"

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


class SimulationFailed(SimulationError):
    """A node, process or checker raised; the cause is chained.

    Everything that leads back to it is here: the seed, virtual time, the number of events, the
    running digest, and the last events before it.
    """

    code = "simulation_failed"

    def __init__(
        self,
        message: str,
        *,
        seed: int,
        now_ns: int,
        events: int,
        digest: str,
        recent: tuple[tuple[int, int, int], ...],
    ) -> None:
        super().__init__(
            f"{message} (seed {seed}, event {events} at {now_ns / 1e6:.3f} ms, digest {digest})",
            hint="run the same seed again to see it again",
        )
        self.seed = seed
        self.now_ns = now_ns
        self.events = events
        self.digest = digest
        self.recent = recent
        """(time in ns, target, kind) of the last events, oldest first; empty without a trace."""
