"""Many markets under faults: what a campaign shows, and what it never came to."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.folding.spec import KINDS_MIN, Spec
from simulations.fuzzing.market import Result, run
from simulations.fuzzing.runs import carry_out
from simulations.fuzzing.tally import Tally

if TYPE_CHECKING:
    from simulations.sweeps.engines import Failure

REACHED_FROM: Final = 50
"""A campaign of so many runs must have seen everything happen."""
STATES: Final = (
    "attested",
    "carried",
    "compensated",
    "contract_accepted",
    "contract_claimable",
    "contract_disputed",
    "contract_locked",
    "contract_receipt",
    "contract_refunded",
    "contract_resolved",
    "contract_settled",
    "minted",
    "moved",
    "order_closed",
    "order_placed",
    "paid_from_pool",
    "received",
    "refused",
    "revoked",
    "sent",
    "slashed",
    "staked",
    "unbonded",
    "unstaked",
)
"""What can happen to an account."""


class Summary(Tally, kw_only=True):
    """What a campaign showed."""

    commits: int = 0
    trades: int = 0
    reached: dict[str, int] = msgspec.field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a run."""
        self.count(result)
        self.commits += result.commits
        self.trades += result.trades
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
        """Whether nothing was broken, nothing was missed and every run was worth its while."""
        worthy = self.kinds_min >= KINDS_MIN or self.runs == 0
        return not self.violations and not self.missed and worthy


def run_all(specs: Iterable[Spec], workers: int = 0) -> Generator[Result, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here."""
    return carry_out(run, specs, workers, _make_raised)


def _make_raised(spec: Spec, failure: Failure) -> Result:
    return Result(
        seed=spec.seed,
        kinds=spec.kinds,
        check="raised",
        message=failure.message,
        digest="",
        events=0,
        commits=0,
        trades=0,
        virtual_ms=0,
        reached=(),
    )
