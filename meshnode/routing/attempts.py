"""What the own attempts teach: rates, lengths, faults, and how far predictions are off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.routing.decision import Candidate
from meshnode.routing.faults import Fault
from meshnode.routing.query import Query

if TYPE_CHECKING:
    from meshnode.routing.hedging import PredictionErrors
    from meshnode.routing.replica_state import ReplicaState, Sent
    from meshnode.routing.selection import Knowledge
    from meshnode.routing.service_state import ServiceState

DECODE_SAMPLE_TOKENS = 16
"""Decoding is measured over stretches of at least so many tokens, while an answer still runs."""


@dataclass(slots=True)
class Attempt:
    """One query on its way at one replica."""

    query: Query
    candidate: Candidate
    sent_ms: int
    first_ms: int | None = None
    last_ms: int = 0
    tokens: int = 0
    sampled_ms: int = 0
    sampled_tokens: int = 0
    """Since `sampled_ms`."""


class Attempts:
    """The attempts that run, by ticket."""

    def __init__(self, knowledge: Knowledge, errors: PredictionErrors) -> None:
        self._knowledge = knowledge
        self._errors = errors
        self._running: dict[int, Attempt] = {}
        self._tickets = 0

    def find(self, ticket: int) -> Attempt | None:
        """An attempt that runs; None for one that is over."""
        return self._running.get(ticket)

    def forget(self, peer: str) -> None:
        """A peer is gone with its state: nothing more is learned of attempts there."""
        self._running = {
            ticket: attempt
            for ticket, attempt in self._running.items()
            if attempt.candidate.peer != peer
        }

    def begin(self, query: Query, candidate: Candidate, *, now_ms: int) -> int:
        """An attempt starts; one at an unknown peer has a ticket, and nothing follows from it."""
        self._tickets += 1
        state = self._knowledge.states.get(candidate.peer)
        if state is not None:
            self._running[self._tickets] = Attempt(query, candidate, now_ms)
            state.begin(self._tickets, candidate.miss_tokens, now_ms=now_ms)
            state.find_service(candidate.model).breaker.on_sent(self._tickets, now_ms=now_ms)
            self._knowledge.cooldowns.on_sent(state.domain, self._tickets)
        return self._tickets

    def note_first_token(self, ticket: int, *, now_ms: int) -> None:
        """Learn how fast the replica prefills, and that it holds the prompt's prefix now."""
        attempt = self._running.get(ticket)
        if attempt is None or attempt.first_ms is not None:
            return
        attempt.first_ms = attempt.last_ms = attempt.sampled_ms = now_ms
        attempt.tokens = 1
        candidate = attempt.candidate
        state, service = self._look_up(attempt)
        sent = state.prefilled(ticket)
        assert sent is not None, "an attempt has one first token"
        _learn_prefill(service, sent, candidate.rtt_us, now_ms)
        self._knowledge.cooldowns.on_served(state.domain)
        self._errors.note(candidate.first_token_us // 1_000, now_ms - attempt.sent_ms)
        if attempt.query.prefix:
            self._knowledge.prefixes.add(candidate.peer, attempt.query.prefix, now_ms=now_ms)

    def note_tokens(self, ticket: int, tokens: int, *, now_ms: int) -> None:
        """Learn how the replica decodes."""
        attempt = self._running.get(ticket)
        if attempt is None or attempt.first_ms is None:
            return
        _, service = self._look_up(attempt)
        service.gaps.note(now_ms - attempt.last_ms)
        attempt.last_ms = now_ms
        attempt.tokens += tokens
        attempt.sampled_tokens += tokens
        if attempt.sampled_tokens >= DECODE_SAMPLE_TOKENS:
            service.rates.observe_decode(now_ms - attempt.sampled_ms, attempt.sampled_tokens)
            attempt.sampled_ms = now_ms
            attempt.sampled_tokens = 0

    def finish(self, ticket: int, *, now_ms: int, output_tokens: int) -> None:
        """An answer is complete."""
        attempt = self._running.pop(ticket, None)
        if attempt is None:
            return
        state, service = self._look_up(attempt)
        state.end(ticket)
        service.breaker.on_success(ticket, now_ms=now_ms)
        self._knowledge.cooldowns.on_served(state.domain)
        tokens = output_tokens or attempt.tokens
        self._knowledge.lengths.note(attempt.query.tenant, attempt.candidate.model, tokens)
        if attempt.first_ms is not None and attempt.tokens == 1 and tokens > 1:
            service.rates.observe_decode(now_ms - attempt.first_ms, tokens - 1)

    def fail(
        self, ticket: int, fault: Fault, *, now_ms: int, draw: int, retry_after_ms: int
    ) -> None:
        """An attempt failed."""
        attempt = self._running.pop(ticket, None)
        if attempt is None:
            return
        state, service = self._look_up(attempt)
        if fault in {Fault.TIMEOUT, Fault.STALLED}:
            _learn_lateness(state, service, ticket, attempt, now_ms)
        state.end(ticket)
        if fault.is_breakage and not self._is_impatience(attempt, fault, now_ms):
            service.breaker.on_failure(ticket, now_ms=now_ms, draw=draw)
        else:
            service.breaker.on_neutral(ticket)
        if fault.may_retry_elsewhere:
            state.fault_ms = now_ms
        if fault.is_neutral:
            self._knowledge.cooldowns.start(
                state.domain, retry_after_ms, now_ms=now_ms, is_load=fault is Fault.OVERLOADED
            )
            return
        self._knowledge.cooldowns.on_ended(state.domain, ticket)
        if fault.disables:
            service.disabled_ms = now_ms

    def cancel(self, ticket: int, *, now_ms: int) -> None:
        """An attempt was given up here: it says how late it was, and nothing more."""
        attempt = self._running.pop(ticket, None)
        if attempt is None:
            return
        state, service = self._look_up(attempt)
        _learn_lateness(state, service, ticket, attempt, now_ms)
        state.end(ticket)
        service.breaker.on_neutral(ticket)
        self._knowledge.cooldowns.on_ended(state.domain, ticket)

    def _is_impatience(self, attempt: Attempt, fault: Fault, now_ms: int) -> bool:
        """Whether a query's own deadline was short: its end says that the replica is late."""
        waited_ms = now_ms - attempt.sent_ms
        return fault is Fault.TIMEOUT and waited_ms < self._knowledge.settings.stall_ms_min

    def _look_up(self, attempt: Attempt) -> tuple[ReplicaState, ServiceState]:
        state = self._knowledge.states[attempt.candidate.peer]
        return state, state.find_service(attempt.candidate.model)


def _learn_prefill(service: ServiceState, sent: Sent, rtt_us: int, now_ms: int) -> None:
    service.rates.observe_prefill(now_ms - sent.sent_ms - rtt_us // 1_000, sent.work_tokens)


def _learn_lateness(
    state: ReplicaState, service: ServiceState, ticket: int, attempt: Attempt, now_ms: int
) -> None:
    """No token came so far: the replica is at least as slow as that."""
    if attempt.first_ms is not None:
        return
    sent = state.prefilled(ticket)
    assert sent is not None, "an attempt without a first token waits"
    waited_ms = now_ms - sent.sent_ms - attempt.candidate.rtt_us // 1_000
    if waited_ms * 1_000_000 > service.rates.prefill_ns * sent.work_tokens:
        _learn_prefill(service, sent, attempt.candidate.rtt_us, now_ms)
