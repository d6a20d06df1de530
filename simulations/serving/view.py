"""What a router knows of its replicas, for the baselines: reports, and what it sent since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulations.serving.port import Attempt, Failure, Status
from simulations.serving.traces import BLOCK_TOKENS, Request

RTT_WEIGHT: Final = 0.2
"""Of the newest round trip in the running mean."""
RTT_START_MS: Final = 50.0
LOST_MS: Final = 10_000
"""A replica from which nothing came for so long is held for dead by every baseline."""
FAILURE_MS: Final = 5_000
"""A replica that failed is passed over for so long, as is one that named no time of its own."""


class View:
    """One router's picture of its replicas."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.status: list[Status | None] = [None] * replicas
        self.rtt_ms = [RTT_START_MS] * replicas
        self.held: list[set[int]] = [set() for _ in range(replicas)]
        self.heard_ms = [0] * replicas
        self.open: list[dict[int, Attempt]] = [{} for _ in range(replicas)]
        """Own attempts that have not ended, by number."""
        self._unseen: list[dict[int, Attempt]] = [{} for _ in range(replicas)]
        """Own attempts that the newest report cannot know of."""
        self._out_until_ms = [0] * replicas

    # --- asked ----------------------------------------------------------------------------------

    def list_usable(self, now_ms: int, tried: Sequence[int] = ()) -> list[int]:
        """Replicas that may be asked; those that failed lately only when there are no others."""
        untried = [one for one in range(self.replicas) if one not in tried]
        heard = [one for one in untried if now_ms - self.heard_ms[one] <= LOST_MS]
        well = [one for one in heard if self._out_until_ms[one] <= now_ms]
        return well or heard or untried

    def find_lost(self, now_ms: int) -> list[int]:
        """Replicas that are held for dead."""
        return [one for one in range(self.replicas) if now_ms - self.heard_ms[one] > LOST_MS]

    def count_requests(self, replica: int) -> int:
        """Requests there: reported and sent since, or the own ones if these are more."""
        status = self.status[replica]
        reported = status.running + status.queued if status is not None else 0
        return max(len(self.open[replica]), reported + len(self._unseen[replica]))

    def count_tokens(self, replica: int) -> int:
        """Prompt tokens there that are not computed yet, counted like requests."""
        status = self.status[replica]
        reported = status.queued_tokens if status is not None else 0
        unseen = self._unseen[replica].values()
        return reported + sum(one.miss_tokens for one in unseen if one.first_ms < 0)

    def count_miss(self, replica: int, request: Request) -> int:
        """Tokens of a prompt that the replica must compute, as far as its digest tells."""
        held = self.held[replica]
        cached = 0
        for block in request.blocks:
            if block not in held:
                break
            cached += BLOCK_TOKENS
        return max(1, request.input_tokens - cached)

    # --- told -----------------------------------------------------------------------------------

    def on_sent(self, attempt: Attempt) -> None:
        """It is on its way."""
        attempt.miss_tokens = self.count_miss(attempt.replica, attempt.request)
        self.open[attempt.replica][attempt.number] = attempt
        self._unseen[attempt.replica][attempt.number] = attempt

    def on_over(self, attempt: Attempt) -> None:
        """It ended, in whatever way."""
        self.open[attempt.replica].pop(attempt.number, None)
        self._unseen[attempt.replica].pop(attempt.number, None)

    def on_failed(
        self, now_ms: int, attempt: Attempt, failure: Failure, retry_after_ms: int
    ) -> None:
        """It ended without an answer: leave the replica alone for a while."""
        self.on_over(attempt)
        wait_ms = retry_after_ms or FAILURE_MS
        replica = attempt.replica
        if failure in ("refused", "rate_limited"):
            self.heard_ms[replica] = now_ms
        self._out_until_ms[replica] = max(self._out_until_ms[replica], now_ms + wait_ms)

    def on_status(self, now_ms: int, replica: int, status: Status, rtt_ms: float | None) -> None:
        """A report came; older ones than the newest are dropped."""
        self.heard_ms[replica] = now_ms
        if rtt_ms is not None:
            self.rtt_ms[replica] += RTT_WEIGHT * (rtt_ms - self.rtt_ms[replica])
        known = self.status[replica]
        if known is not None and status.sequence <= known.sequence:
            return
        self.status[replica] = status
        # What was sent less than a round trip ago was not there yet when the report was made.
        horizon_ms = now_ms - self.rtt_ms[replica]
        unseen = self._unseen[replica]
        for number in [number for number, one in unseen.items() if one.sent_ms <= horizon_ms]:
            del unseen[number]

    def on_digest(self, replica: int, added: Sequence[int], removed: Sequence[int]) -> None:
        """A replica said which blocks it holds that it did not hold before, and the reverse."""
        self.held[replica].difference_update(removed)
        self.held[replica].update(added)
