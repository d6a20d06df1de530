"""A router's side of every request: send it, wait, try again, hedge, and write down how it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from simulations.kernel import NS_PER_MS, Kernel
from simulations.serving.outcome import Outcome, limit_first_token_ms
from simulations.serving.port import Attempt, Failure, Placement, Policy, Refusal, Status
from simulations.serving.traces import Request

if TYPE_CHECKING:
    from simulations.serving.replica import Replica
    from simulations.serving.wire import Wire

FIRST_TOKEN_MS: Final = 60_000
"""Patience with the first token."""
ANSWER_MS: Final = 600_000
"""Patience with the whole answer."""
PROBE_MS: Final = 1_000
WITNESSES: Final = 3
"""Nodes that are asked to reach a replica which fell silent."""
WITNESS_MS: Final = 500
"""Until they say whether they did."""


@dataclass(slots=True, eq=False)
class _Inquiry:
    """A request that is not answered yet."""

    request: Request
    begun_ns: int
    deadline_ms: int
    """On the clock of the run, for the first token."""
    live: list[Attempt] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)
    attempts: int = 0
    hedges: int = 0
    first_ns: int = -1
    is_over: bool = False


class Door:
    """One router with its users."""

    def __init__(
        self,
        kernel: Kernel,
        number: int,
        policy: Policy,
        wire: Wire,
        replicas: Sequence[Replica],
        *,
        record: Callable[[Outcome], None],
        patience_ms: int | None = FIRST_TOKEN_MS,
    ) -> None:
        """`patience_ms` is for the first token; None for as long as an answer counts as good."""
        self.number = number
        self.policy = policy
        self._kernel = kernel
        self._wire = wire
        self._replicas = replicas
        self._record = record
        self._patience_ms = patience_ms
        self._inquiries: dict[Attempt, _Inquiry] = {}
        self._numbers = 0
        self._is_open = True

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits."""
        return not self._inquiries

    # --- a request ------------------------------------------------------------------------------

    def ask(self, request: Request) -> None:
        """A user's request comes."""
        patience_ms = self._patience_ms
        if patience_ms is None:
            patience_ms = round(limit_first_token_ms(request.input_tokens))
        inquiry = _Inquiry(request, self._kernel.now_ns, self._now_ms + patience_ms)
        self._place(inquiry, self.policy.choose(self._now_ms, request, patience_ms))
        self._kernel.after(patience_ms * NS_PER_MS, self._lose_patience, inquiry)

    def _place(
        self, inquiry: _Inquiry, where: Placement | Refusal, *, hedges: bool = False
    ) -> None:
        if isinstance(where, Refusal):
            if not inquiry.live and not hedges:
                self._give_up(inquiry, where.reason)
        elif where.delay_ms:
            self._kernel.after(where.delay_ms * NS_PER_MS, self._send, inquiry, where, hedges)
        else:
            self._send(inquiry, where, hedges)

    def _send(
        self,
        inquiry: _Inquiry,
        where: Placement,
        hedges: bool,  # noqa: FBT001 - handed through the kernel
    ) -> None:
        if inquiry.is_over:
            return
        self._numbers += 1
        now_ms = self._now_ms
        attempt = Attempt(
            self._numbers, inquiry.request, where.replica, now_ms, where.token, is_hedge=hedges
        )
        inquiry.live.append(attempt)
        inquiry.tried.append(where.replica)
        inquiry.attempts += 1
        inquiry.hedges += hedges
        self._inquiries[attempt] = inquiry
        hedge_after_ms = self.policy.on_sent(now_ms, attempt)
        first_token_ms = max(1, inquiry.deadline_ms - now_ms)
        replica = self._replicas[where.replica]
        arguments = (attempt, self, first_token_ms, max(ANSWER_MS, first_token_ms))
        self._wire.to_replica(self.number, where.replica, replica.arrive, *arguments)
        if hedge_after_ms is not None and not hedges:
            self._kernel.after(hedge_after_ms * NS_PER_MS, self._hedge, inquiry, attempt)

    def _hedge(self, inquiry: _Inquiry, attempt: Attempt) -> None:
        if inquiry.is_over or inquiry.first_ns >= 0 or attempt not in self._inquiries:
            return
        where = self.policy.hedge(self._now_ms, attempt, tuple(inquiry.tried))
        self._place(inquiry, where, hedges=True)

    def _lose_patience(self, inquiry: _Inquiry) -> None:
        if inquiry.is_over or inquiry.first_ns >= 0:
            return
        for attempt in list(inquiry.live):
            self._forget(inquiry, attempt)
            self.policy.on_failed(self._now_ms, attempt, "timeout", 0)
            self._cancel(attempt)
        self._give_up(inquiry, "deadline")

    # --- what comes back --------------------------------------------------------------------------

    def hear_first(self, attempt: Attempt, status: Status) -> None:
        """The first token of an answer."""
        self._hear(attempt.replica, status)
        inquiry = self._inquiries.get(attempt)
        if inquiry is None:
            return
        attempt.first_ms = self._now_ms
        inquiry.first_ns = self._kernel.now_ns
        self.policy.on_first(self._now_ms, attempt)
        for other in [one for one in inquiry.live if one is not attempt]:
            self._forget(inquiry, other)
            self.policy.on_cancelled(self._now_ms, other)
            self._cancel(other)

    def hear_end(self, attempt: Attempt, status: Status) -> None:
        """The last token of an answer."""
        self._hear(attempt.replica, status)
        inquiry = self._inquiries.get(attempt)
        if inquiry is None:
            return
        self._forget(inquiry, attempt)
        self.policy.on_end(self._now_ms, attempt)
        self._close(inquiry, "")

    def hear_failure(
        self, attempt: Attempt, failure: Failure, retry_after_ms: int, status: Status | None
    ) -> None:
        """There will be no answer from there."""
        if status is not None:
            self._hear(attempt.replica, status)
        inquiry = self._inquiries.get(attempt)
        if inquiry is None:
            return
        now_ms = self._now_ms
        self._forget(inquiry, attempt)
        self.policy.on_failed(now_ms, attempt, failure, retry_after_ms)
        if inquiry.first_ns >= 0:
            self._give_up(inquiry, "gone")
        elif not inquiry.live:
            left_ms = inquiry.deadline_ms - now_ms
            tried = tuple(inquiry.tried[:-1])
            where = self.policy.retry(now_ms, attempt, failure, tried, left_ms)
            self._place(inquiry, where)

    def hear_probe(self, replica: int, status: Status, asked_ns: int) -> None:
        """A replica's answer to a probe."""
        rtt_ms = (self._kernel.now_ns - asked_ns) / NS_PER_MS
        self.policy.on_status(self._now_ms, replica, status, rtt_ms)

    def hear_digest(self, replica: int, added: Sequence[int], removed: Sequence[int]) -> None:
        """A replica's word on its cache."""
        self.policy.on_digest(self._now_ms, replica, added, removed)

    def _hear(self, replica: int, status: Status) -> None:
        self.policy.on_status(self._now_ms, replica, status, None)

    # --- every second -----------------------------------------------------------------------------

    def probe(self) -> None:
        """Ask all replicas how they are, and give up what runs on those that are lost."""
        if not self._is_open:
            return
        for replica in self._replicas:
            arguments = (self, self._kernel.now_ns)
            self._wire.to_replica(self.number, replica.number, replica.answer_probe, *arguments)
        for number in self.policy.find_silent(self._now_ms):
            self._kernel.after(WITNESS_MS * NS_PER_MS, self._hear_witnesses, number)
        lost = self.policy.find_lost(self._now_ms)
        if lost:
            for attempt in [one for one in self._inquiries if one.replica in lost]:
                failure: Failure = "timeout" if attempt.first_ms < 0 else "gone"
                self.hear_failure(attempt, failure, 0, None)
        self._kernel.after(PROBE_MS * NS_PER_MS, self.probe)

    def _hear_witnesses(self, replica: int) -> None:
        """Other nodes tried to reach a replica: they do unless it is dead."""
        for _ in range(WITNESSES):
            self.policy.on_witness(self._now_ms, replica, not self._replicas[replica].is_dead)

    def close(self) -> None:
        """Probe no more; whoever still waits waited in vain."""
        self._is_open = False
        for inquiry in list(dict.fromkeys(self._inquiries.values())):
            self._give_up(inquiry, "unfinished")

    # --- help -------------------------------------------------------------------------------------

    def _forget(self, inquiry: _Inquiry, attempt: Attempt) -> None:
        self._inquiries.pop(attempt, None)
        inquiry.live.remove(attempt)

    def _cancel(self, attempt: Attempt) -> None:
        replica = self._replicas[attempt.replica]
        self._wire.to_replica(self.number, attempt.replica, replica.cancel, attempt)

    def _give_up(self, inquiry: _Inquiry, why: str) -> None:
        for attempt in list(inquiry.live):
            self._forget(inquiry, attempt)
            self.policy.on_cancelled(self._now_ms, attempt)
            self._cancel(attempt)
        self._close(inquiry, why)

    def _close(self, inquiry: _Inquiry, error: str) -> None:
        inquiry.is_over = True
        request = inquiry.request
        now_ns = self._kernel.now_ns
        first_ms = tpot_ms = -1.0
        if inquiry.first_ns >= 0:
            first_ms = (inquiry.first_ns - inquiry.begun_ns) / NS_PER_MS
            rest = request.output_tokens - 1
            tpot_ms = (now_ns - inquiry.first_ns) / NS_PER_MS / rest if rest else 0.0
        self._record(
            Outcome(
                number=request.number,
                router=self.number,
                input_tokens=request.input_tokens,
                output_tokens=request.output_tokens,
                error=error,
                first_ms=first_ms,
                tpot_ms=tpot_ms,
                whole_ms=(now_ns - inquiry.begun_ns) / NS_PER_MS,
                retries=max(0, inquiry.attempts - 1 - inquiry.hedges),
                hedges=inquiry.hedges,
            )
        )

    @property
    def _now_ms(self) -> int:
        return self._kernel.now_ns // NS_PER_MS
