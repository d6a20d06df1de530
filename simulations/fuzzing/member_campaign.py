"""Many runs in which members come and go: what a campaign shows, and what it never came to."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.fuzzing.membership import MemberResult, run
from simulations.fuzzing.runs import carry_out
from simulations.fuzzing.tally import Tally

if TYPE_CHECKING:
    from simulations.fuzzing.member_plan import MemberSpec
    from simulations.sweeps.engines import Failure

REACHED_FROM: Final = 50
"""A campaign of so many runs must have seen everything happen."""
STATES: Final = (
    "another committee",
    "by itself",
    "expulsion asked for",
    "is expelled",
    "is member",
    "is newcomer",
    "is refused",
    "is revoked",
    "left",
    "never let in",
    "ticket taken back",
    "vouched for",
    "with a ticket",
)
"""What members do, and how they may stand in the end."""


class Summary(Tally, kw_only=True):
    """What a campaign showed."""

    commits: int = 0
    agreed_ms_max: int = 0
    reached: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, result: MemberResult) -> None:
        """Count a run."""
        self.count(result)
        self.commits += result.commits
        self.agreed_ms_max = max(self.agreed_ms_max, result.agreed_ms)
        for state in result.reached:
            self.reached[state] = self.reached.get(state, 0) + 1

    @property
    def missed(self) -> tuple[str, ...]:
        """What never happened in a campaign that is long enough for all of it."""
        if self.runs < REACHED_FROM:
            return ()
        return tuple(state for state in STATES if state not in self.reached)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was broken and nothing was missed."""
        return not self.violations and not self.missed


def run_all(specs: Iterable[MemberSpec], workers: int = 0) -> Generator[MemberResult, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here."""
    return carry_out(run, specs, workers, _make_raised)


def _make_raised(spec: MemberSpec, failure: Failure) -> MemberResult:
    return MemberResult(seed=spec.seed, kinds=(), check="raised", message=failure.message)
