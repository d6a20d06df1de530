"""What must come of it once everything but the liars is healed: order for all, in time, then quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from consensus.decision import Status
from consensus.pacemaker import PacemakerSettings
from simulations.consensus.spec import ROUNDS_MIN
from simulations.errors import CheckFailed, Unreached
from simulations.latency import Uniform
from simulations.network import NetworkSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulations.consensus.mesh import ValidatorMesh
    from simulations.consensus.spec import Spec

QUIET_AFTER_MS: Final = 3_000
QUIET_FOR_MS: Final = 1_500
PUT_OUT_MS: Final = 10_000
SETTLING_MS: Final = 400
"""Until what was under way in bad weather has arrived, and histories are complete."""
ROUND_MS: Final = PacemakerSettings().minimum_delay_ms
STEADY_MS: Final = 600
LOOK_EVERY_MS: Final = 40
MARGIN: Final = 8
"""A leader is waited for this many times longer than messages are under way at most."""
DECIDED_ROUNDS: Final = 6
"""Slots so far below the newest round are decided while all goes well."""


class Demands:
    """The phases after the faults."""

    def __init__(self, mesh: ValidatorMesh, spec: Spec, submit: Callable[[], bytes]) -> None:
        self._mesh = mesh
        self._world = mesh.world
        self._spec = spec
        self._submit = submit

    def demand_progress(self) -> int:
        """Bring batches until there were rounds enough; answers when all of them were ordered."""
        begun_ms = self._world.now_ms
        brought: list[bytes] = []

        def is_done() -> bool:
            if min(self.count_rounds()) < ROUNDS_MIN or len(brought) < len(self._spec.stakes):
                brought.append(self._submit())
                return False
            return self._is_ordered(brought)

        self._world.run_until(is_done, self._spec.heal_ms)
        return self._world.now_ms - begun_ms

    def demand_pace(self) -> None:
        """I11, I12: with delays far below the timeout, rounds keep together and leaders commit."""
        mesh, timeout_ms = self._mesh, self._spec.leader_timeout_ms
        delay_ms = timeout_ms // MARGIN - self._spec.write_ms
        if delay_ms < 1:
            return
        self._world.network.change(NetworkSettings(latency=Uniform(delay_ms / 2, delay_ms)))
        self._bring(SETTLING_MS)
        first = max(self.count_rounds()) + 1
        behind_ms = delay_ms + self._spec.write_ms + 1
        if not self._spec.pushes_history:
            # What a liar withholds shows in the next block only, which may wait for its leader.
            behind_ms += 3 * delay_ms + self._spec.write_ms + ROUND_MS + 2 * timeout_ms
        self._bring(STEADY_MS, behind_ms)
        batch = self._submit()
        # Among so many rounds stand three good leaders in a row, whoever lies; each may time out.
        rounds = len(mesh.committee) + DECIDED_ROUNDS
        limit_ms = rounds * (timeout_ms + 4 * (delay_ms + self._spec.write_ms) + ROUND_MS)
        try:
            self._world.run_until(lambda: self._is_ordered([batch]), limit_ms)
        except Unreached:
            raise CheckFailed("I12 in-time", f"a batch takes more than {limit_ms} ms") from None
        self._demand_leaders(first, max(self.count_rounds()) - DECIDED_ROUNDS)

    def _demand_leaders(self, first: int, last: int) -> None:
        """I11: every slot of an honest leader is committed, from one round up to another."""
        ledger = self._mesh.ledger
        for slot, author in ledger.leaders.items():
            if first <= slot.round < last and self._mesh.is_honest(author):
                status, _ = ledger.decided[slot]
                # Leaders chosen anew were not waited for by blocks made before the choice.
                if status != Status.COMMIT and ledger.is_foreseen(slot.round):
                    raise CheckFailed("I11 leaders", f"{tuple(slot)} of {author} is skipped")

    def _bring(self, for_ms: int, behind_ms: int | None = None) -> None:
        """Keep validators at work; what one has entered, all have `behind_ms` later."""
        for _ in range(0, for_ms, LOOK_EVERY_MS):
            self._submit()
            self._world.run_for(LOOK_EVERY_MS)
            if behind_ms is not None:
                top = max(one.pacemaker.entered_round for one in self._mesh.honest)
                self._world.at(self._world.now_ms + behind_ms, self._expect_entered, top)

    def _expect_entered(self, round_: int) -> None:
        for one in self._mesh.honest:
            if one.pacemaker.entered_round < round_:
                raise CheckFailed(
                    "I11 together",
                    f"author {one.author} is in round {one.pacemaker.entered_round}, "
                    f"where another entered {round_} a message delay ago",
                )

    def demand_quiet(self) -> None:
        """Nothing to order, no blocks, and all have the same commits."""
        self._world.run_for(QUIET_AFTER_MS)
        before = len(self._mesh.ledger.made)
        self._world.run_for(QUIET_FOR_MS)
        made = len(self._mesh.ledger.made) - before
        if made:
            raise CheckFailed("quiet", f"{made} blocks are made though nobody says anything")
        heights = {self._mesh.ledger.get_height(one) for one in self._mesh.honest}
        if len(heights) > 1:
            raise CheckFailed("agreement", f"heights are {sorted(heights)} when all is said")

    def demand_all_put_out(self) -> None:
        """I9: woken again, honest validators put out every block of theirs above the horizon."""
        ledger = self._mesh.ledger
        made = list(ledger.made.items())
        left = [(one, slot, block_id) for one in self._mesh.honest for slot, block_id in made]

        def is_done() -> bool:
            nonlocal left
            left = [
                (one, slot, block_id)
                for one, slot, block_id in left
                if slot[1] > one.ordering.horizon and not ledger.has_output(one, block_id)
            ]
            if left:
                self._submit()
            return not left

        try:
            self._world.run_until(is_done, PUT_OUT_MS)
        except Unreached:
            one, slot, _ = left[0]
            raise CheckFailed("I9 output", f"block {slot} is lost at {one.author}") from None

    def _is_ordered(self, batches: list[bytes]) -> bool:
        ledger = self._mesh.ledger
        return all(ledger.has_output(one, batch) for one in self._mesh.honest for batch in batches)

    def count_rounds(self) -> list[int]:
        """The highest round that each honest validator holds."""
        return [one.ordering.store.highest_round for one in self._mesh.honest]
