"""Many committees under faults: what a campaign shows, and whether it was worth its while."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

import msgspec

from simulations.consensus.spec import KINDS_MIN, ROUNDS_MIN, Spec
from simulations.fuzzing.order import Result, run
from simulations.fuzzing.runs import carry_out
from simulations.fuzzing.tally import Tally

if TYPE_CHECKING:
    from simulations.sweeps.engines import Failure


class Summary(Tally, kw_only=True):
    """What a campaign showed."""

    commits: int = 0
    rounds_min: int = 0
    """Fewest in a clean run."""
    settled_ms_max: int = 0
    profiles: dict[str, int] = msgspec.field(default_factory=dict)
    members: dict[int, int] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run."""
        self.count(result)
        self.commits += result.commits
        self.profiles[result.profile] = self.profiles.get(result.profile, 0) + 1
        self.members[result.members] = self.members.get(result.members, 0) + 1
        self.settled_ms_max = max(self.settled_ms_max, result.settled_ms)
        if not result.check and (self.rounds_min == 0 or result.rounds < self.rounds_min):
            self.rounds_min = result.rounds

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken, and every run was worth its while."""
        worthy = self.kinds_min >= KINDS_MIN and self.rounds_min >= ROUNDS_MIN
        return not self.violations and (worthy or self.runs == 0)


def run_all(specs: Iterable[Spec], workers: int = 0) -> Generator[Result, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here."""
    return carry_out(run, specs, workers, _make_raised)


def _make_raised(spec: Spec, failure: Failure) -> Result:
    return Result(
        seed=spec.seed,
        members=len(spec.stakes),
        profile=spec.profile,
        kinds=spec.kinds,
        check="raised",
        message=failure.message,
        digest="",
        events=0,
        virtual_ms=0,
        rounds=0,
        commits=0,
        settled_ms=-1,
    )
