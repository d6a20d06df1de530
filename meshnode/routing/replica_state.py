"""What is known of one replica: its newest report, and what this node sent there since.

A report is old the moment it arrives: requests that left after it was written are not in it, and
requests that ended since still are. Both are this node's own, so it can correct for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.routing.rates import Rates
from meshnode.routing.report import Peer, Report

if TYPE_CHECKING:
    from meshnode.routing.settings import Settings

SLOTS_MAX = 65_536
REQUESTS_MAX = 1_000_000
TOKENS_MAX = 1_000_000_000
"""Claims beyond these are clipped: nothing real is there, and sums stay small."""
_RTT_WINDOW_MS = 30_000


@dataclass(slots=True)
class Sent:
    """One own request that has not ended."""

    sent_ms: int
    tokens: int
    """Prompt tokens it makes the replica compute; 0 once the first answer token came."""
    is_reported: bool = False
    """Whether the newest report can have counted it."""


class ReplicaState:
    """One replica's report and the own requests there, kept consistent with each other."""

    def __init__(self, peer: Peer, settings: Settings) -> None:
        self.peer = peer
        self.report: Report | None = None
        self.received_ms = 0
        self.rtt_us = 0
        self.fault_ms: int | None = None
        """When an own request last failed or was turned away there."""
        self.used_ms: int | None = None
        """When this node last sent a request there."""
        self._settings = settings
        self._rtt_ms: int | None = None
        self._rates: dict[str, Rates] = {}
        self._sent: dict[int, Sent] = {}
        self._own_tokens = 0
        self._fresh_requests = 0
        self._fresh_tokens = 0
        self._ended_requests = 0
        self._ended_tokens = 0

    @property
    def name(self) -> str:
        """For people."""
        return self.peer.name or self.peer.id

    @property
    def slots(self) -> int:
        """Requests that run there at once, by its own account."""
        return 1 if self.report is None else min(max(1, self.report.slots), SLOTS_MAX)

    @property
    def outstanding(self) -> int:
        """Own requests there that have not ended."""
        return len(self._sent)

    @property
    def requests(self) -> int:
        """Requests known to be there."""
        reported = 0
        if self.report is not None:
            reported = min(max(0, self.report.running) + max(0, self.report.queued), REQUESTS_MAX)
        others = max(0, reported - self._ended_requests)
        return max(len(self._sent), others + self._fresh_requests)

    @property
    def queue_tokens(self) -> int:
        """Prompt tokens known to be there without a first answer token."""
        reported = 0
        if self.report is not None:
            reported = min(max(0, self.report.queued_prefill_tokens), TOKENS_MAX)
        others = max(0, reported - self._ended_tokens)
        return max(self._own_tokens, others + self._fresh_tokens)

    def take_report(self, report: Report, *, now_ms: int) -> bool:
        """Replace the report, unless this one is not newer."""
        if self.report is not None:
            known = (self.report.incarnation, self.report.sequence)
            if (report.incarnation, report.sequence) <= known:
                return False
        self.report = report
        self.received_ms = now_ms
        self._ended_requests = self._ended_tokens = 0
        self._fresh_requests = self._fresh_tokens = 0
        horizon_ms = now_ms - self.rtt_us // 1000
        for sent in self._sent.values():
            sent.is_reported = sent.sent_ms <= horizon_ms
            if not sent.is_reported:
                self._fresh_requests += 1
                self._fresh_tokens += sent.tokens
        return True

    def take_rtt(self, rtt_us: int, *, now_ms: int) -> None:
        """Learn from a measured round trip: a mean over the last half minute."""
        rtt_us = max(0, rtt_us)
        if self._rtt_ms is None:
            self.rtt_us = rtt_us
        else:
            passed_ms = max(1, now_ms - self._rtt_ms)
            self.rtt_us += (rtt_us - self.rtt_us) * passed_ms // (passed_ms + _RTT_WINDOW_MS)
        self._rtt_ms = now_ms

    def age_ms(self, now_ms: int) -> int:
        """Age of the newest report; -1 where none came."""
        return -1 if self.report is None else max(0, now_ms - self.received_ms)

    def find_rates(self, model: str) -> Rates:
        """What was learned about a model here, or where learning starts."""
        rates = self._rates.get(model)
        if rates is None:
            report = self.report
            rates = Rates(
                self._settings,
                prefill_ns=0 if report is None else report.prefill_ns,
                decode_ns=0 if report is None else report.decode_ns,
            )
            self._rates[model] = rates
        return rates

    def begin(self, ticket: int, tokens: int, *, now_ms: int) -> None:
        """An own request has left for this replica."""
        self._sent[ticket] = Sent(now_ms, tokens)
        self._own_tokens += tokens
        self._fresh_requests += 1
        self._fresh_tokens += tokens
        self.used_ms = now_ms

    def prefilled(self, ticket: int) -> None:
        """An own request got its first token: its prompt waits no more."""
        sent = self._sent[ticket]
        self._own_tokens -= sent.tokens
        if sent.is_reported:
            self._ended_tokens += sent.tokens
        else:
            self._fresh_tokens -= sent.tokens
        sent.tokens = 0

    def end(self, ticket: int) -> None:
        """An own request is over, however it ended."""
        self.prefilled(ticket)
        if self._sent.pop(ticket).is_reported:
            self._ended_requests += 1
        else:
            self._fresh_requests -= 1
