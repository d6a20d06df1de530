"""What is known of one replica: its newest report, and what this node sent there since.

A report is old the moment it arrives: requests that left after it was written are not in it, and
requests that ended since still are. Both are this node's own, so it can correct for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.routing.detection import Heartbeats
from meshnode.routing.service_state import ServiceState

if TYPE_CHECKING:
    from meshnode.routing.report import Peer, Report
    from meshnode.routing.settings import Settings

SLOTS_MAX = 65_536
REQUESTS_MAX = 1_000_000
TOKENS_MAX = 1_000_000_000
"""Claims beyond these are clipped: nothing real is there, and sums stay small."""
SERVICES_MAX = 64
"""Models of one replica that are learned about."""
_RTT_WINDOW_MS = 30_000


@dataclass(slots=True)
class Sent:
    """One own request that has not ended."""

    sent_ms: int
    work_tokens: int
    """Prompt tokens between it and its first token when it was sent: the queue's and its own."""
    own_tokens: int
    """Its own part of them."""
    is_reported: bool = False
    """Whether the newest report can have counted it."""


class ReplicaState:
    """One replica's report and the own requests there, kept consistent with each other."""

    def __init__(self, peer: Peer, settings: Settings) -> None:
        self.peer = peer
        self.report: Report | None = None
        self.received_ms = 0
        self.slots = 1
        """Requests that run there at once, by its own account."""
        self.rtt_us = 0
        self.fault_ms: int | None = None
        """When an own request last failed or was turned away there."""
        self.used_ms: int | None = None
        """When this node last sent a request there."""
        self.heartbeats = Heartbeats()
        self._settings = settings
        self._rtt_ms: int | None = None
        self._services: dict[str, ServiceState] = {}
        self._running: dict[int, Sent] = {}
        """Own requests that have a first token."""
        self._waiting: dict[int, Sent] = {}
        """Own requests that have none, the oldest first."""
        self._own_tokens = 0
        self._reported_requests = 0
        self._reported_tokens = 0
        self._fresh_requests = 0
        self._fresh_tokens = 0

    @property
    def name(self) -> str:
        """For people."""
        return self.peer.name or self.peer.id

    @property
    def domain(self) -> str:
        """Whose limits it shares.

        A stranger's word for it is not taken: it would cool down others.
        """
        claimed = "" if self.report is None else self.report.quota_domain
        if claimed and (self.peer.local or self.peer.trusted):
            return f"domain {claimed}"
        return f"peer {self.peer.id}"

    @property
    def requests(self) -> int:
        """Requests known to be there."""
        own = len(self._waiting) + len(self._running)
        return max(own, max(0, self._reported_requests) + self._fresh_requests)

    @property
    def queue_tokens(self) -> int:
        """Prompt tokens known to be there without a first answer token."""
        return max(self._own_tokens, max(0, self._reported_tokens) + self._fresh_tokens)

    def take_report(self, report: Report, *, now_ms: int) -> bool:
        """Replace the report, unless this one is not newer."""
        known = self.report
        if known is not None:
            if (report.incarnation, report.sequence) <= (known.incarnation, known.sequence):
                return False
            if report.incarnation > known.incarnation or report.models != known.models:
                self._enable(report)
        self.report = report
        self.received_ms = now_ms
        self.slots = min(max(1, report.slots), SLOTS_MAX)
        requests = max(0, report.running) + max(0, report.queued)
        self._reported_requests = min(requests, REQUESTS_MAX)
        self._reported_tokens = min(max(0, report.queued_prefill_tokens), TOKENS_MAX)
        self._compare_with_sent(now_ms - self.rtt_us // 1_000)
        return True

    def confirm(self, *, now_ms: int) -> bool:
        """Nothing else was said up to a moment: the report is as good as one of then."""
        if self.report is None or now_ms - self.received_ms < self._settings.confirm_ms:
            return False
        self.received_ms = now_ms
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

    def find_service(self, model: str) -> ServiceState:
        """What was learned about a model here, or where learning starts."""
        service = self._services.get(model)
        if service is None:
            while len(self._services) >= SERVICES_MAX:
                del self._services[next(iter(self._services))]
            report = self.report
            service = self._services[model] = ServiceState(
                self._settings,
                prefill_ns=0 if report is None else report.prefill_ns,
                decode_ns=0 if report is None else report.decode_ns,
            )
        return service

    def find_overdue_ns(self, now_ms: int) -> int:
        """The prefill rate that the longest waiting own request already disproves; 0 for none."""
        if not self._waiting:
            return 0
        oldest = self._waiting[next(iter(self._waiting))]
        waited_us = max(0, (now_ms - oldest.sent_ms) * 1_000 - self.rtt_us)
        return waited_us * 1_000 // max(1, oldest.work_tokens)

    def begin(self, ticket: int, tokens: int, *, now_ms: int) -> None:
        """An own request has left for this replica."""
        self._waiting[ticket] = Sent(now_ms, self.queue_tokens + tokens, tokens)
        self._own_tokens += tokens
        self._fresh_requests += 1
        self._fresh_tokens += tokens
        self.used_ms = now_ms

    def prefilled(self, ticket: int) -> Sent | None:
        """An own request got its first token: its prompt waits no more. None the second time."""
        sent = self._waiting.pop(ticket, None)
        if sent is None:
            return None
        self._own_tokens -= sent.own_tokens
        if sent.is_reported:
            self._reported_tokens -= sent.own_tokens
        else:
            self._fresh_tokens -= sent.own_tokens
        self._running[ticket] = sent
        return sent

    def end(self, ticket: int) -> None:
        """An own request is over, however it ended."""
        self.prefilled(ticket)
        if self._running.pop(ticket).is_reported:
            self._reported_requests -= 1
        else:
            self._fresh_requests -= 1

    def _compare_with_sent(self, horizon_ms: int) -> None:
        """Tell which own requests the new report can have counted."""
        self._fresh_requests = self._fresh_tokens = 0
        for sent in self._running.values():
            sent.is_reported = sent.sent_ms <= horizon_ms
            self._fresh_requests += not sent.is_reported
        for sent in self._waiting.values():
            sent.is_reported = sent.sent_ms <= horizon_ms
            if not sent.is_reported:
                self._fresh_requests += 1
                self._fresh_tokens += sent.own_tokens

    def _enable(self, report: Report) -> None:
        """The replica's offer changed: what it refused for good may be asked for again."""
        for service in self._services.values():
            service.disabled_ms = None
        offered = [offer.id for offer in report.models]
        self._services = {
            model: service for model, service in self._services.items() if model in offered
        }
