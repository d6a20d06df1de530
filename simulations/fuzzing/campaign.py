"""Many meshes under faults: what a campaign shows, with a word on what was never reached."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.faults import KINDS_MIN
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.runs import carry_out
from simulations.fuzzing.sometimes import STATES
from simulations.fuzzing.spec import VERTICES_MIN, Spec
from simulations.fuzzing.tally import Tally

if TYPE_CHECKING:
    from simulations.sweeps.engines import Failure

REACHED_FROM: Final = 50
"""A campaign of so many runs must have reached every state."""


class Summary(Tally, kw_only=True):
    """What a campaign showed."""

    vertices: int = 0
    vertices_min: int = 0
    """Fewest in a clean run."""
    agreed_ms_max: int = 0
    reached: dict[str, int] = msgspec.field(default_factory=dict)
    expected: tuple[str, ...] = STATES
    """What some run has to reach."""

    def add(self, result: Result) -> None:
        """Count a run."""
        self.count(result)
        self.vertices += result.vertices
        for state in result.reached:
            self.reached[state] = self.reached.get(state, 0) + 1
        self.agreed_ms_max = max(self.agreed_ms_max, result.agreed_ms)
        if not result.check and (self.vertices_min == 0 or result.vertices < self.vertices_min):
            self.vertices_min = result.vertices

    @property
    def missed(self) -> tuple[str, ...]:
        """States never reached by a campaign that is long enough to reach them all."""
        if self.runs < REACHED_FROM:
            return ()
        return tuple(state for state in self.expected if state not in self.reached)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, nothing was missed and every run was worth its while."""
        worthy = self.kinds_min >= KINDS_MIN and self.vertices_min >= VERTICES_MIN
        return not self.violations and not self.missed and (worthy or self.runs == 0)


def run_all(specs: Iterable[Spec], workers: int = 0) -> Generator[Result, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here."""
    return carry_out(run, specs, workers, _make_raised)


def _make_raised(spec: Spec, failure: Failure) -> Result:
    return Result(
        seed=spec.seed,
        nodes=spec.nodes,
        fidelity=spec.fidelity,
        kinds=(),
        faults=len(spec.faults),
        check="raised",
        message=failure.message,
        digest="",
        events=0,
        virtual_ms=0,
        agreed_ms=-1,
        vertices=0,
        reached=(),
    )


def select(specs: Sequence[Spec], known: Iterable[int]) -> list[Spec]:
    """The runs that have no result yet."""
    have = dict.fromkeys(known)
    return [spec for spec in specs if spec.seed not in have]
