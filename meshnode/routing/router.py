"""The router of one node: what it is told, which replica it chooses, what it learns from the end.

One object per node. Every call takes the time of the caller's monotonic clock in milliseconds;
`draw` is a fresh random integer of at least 32 bits, handed in because a kernel draws none. The
same calls give the same decisions, bit for bit.

An attempt's life: `choose`, then `on_sent` for a ticket, then `on_first_token`, `on_tokens` and
exactly one of `on_finished`, `on_failure`, `on_cancelled`. Calls with the ticket of an attempt
that is over, or whose peer was forgotten, do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshnode.routing.affinity import BLOCK_TOKENS, PrefixIndex
from meshnode.routing.cost import compute_cost
from meshnode.routing.decision import Candidate, Decision, Reason, Retry
from meshnode.routing.eligibility import Refusal, check_report, check_terms, find_offer
from meshnode.routing.query import Privacy, Query
from meshnode.routing.replica_state import ReplicaState
from meshnode.routing.report import Peer, Report
from meshnode.routing.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.routing.faults import Fault
    from meshnode.routing.report import ModelOffer


@dataclass(slots=True)
class _Attempt:
    query: Query
    candidate: Candidate
    sent_ms: int
    first_ms: int | None = None
    last_ms: int = 0
    tokens: int = 0


class Router:
    """Chooses replicas for the queries of one node."""

    def __init__(
        self, settings: Settings | None = None, *, block_tokens: int = BLOCK_TOKENS
    ) -> None:
        """`block_tokens` is how many prompt tokens one digest of `Query.prefix` stands for."""
        self._settings = settings or Settings()
        self._block_tokens = block_tokens
        self._states: dict[str, ReplicaState] = {}
        self._prefixes = PrefixIndex()
        self._attempts: dict[int, _Attempt] = {}
        self._tickets = 0

    # --- what is known of replicas ----------------------------------------------------------------

    def on_peer(self, peer: Peer) -> None:
        """Introduce a peer, the own engine (`local`) among them, or say more about one."""
        state = self._states.get(peer.id)
        if state is None:
            self._states[peer.id] = ReplicaState(peer, self._settings)
        else:
            state.peer = peer

    def on_report(self, peer: str, report: Report, *, now_ms: int, relayed: bool = False) -> bool:
        """Take a load report; False for one that is not newer than the last.

        A report that another peer passed on (`relayed`) cannot bring back a replica that was
        forgotten or found dead, unless its incarnation is a later one.
        """
        if peer not in self._states:
            self.on_peer(Peer(id=peer))
        return self._states[peer].take_report(report, now_ms=now_ms)

    def on_prefixes(
        self,
        peer: str,
        digests: Sequence[int],
        *,
        now_ms: int,
        removed: Sequence[int] = (),
        is_snapshot: bool = False,
    ) -> None:
        """A replica says which prefixes its cache holds; a snapshot replaces what it said before."""
        if peer not in self._states:
            return
        if is_snapshot:
            self._prefixes.replace(peer, digests, now_ms=now_ms)
        else:
            self._prefixes.remove(peer, removed)
            self._prefixes.add(peer, digests, now_ms=now_ms)

    def on_rtt(self, peer: str, rtt_us: int, *, now_ms: int) -> None:
        """A round trip to a peer was measured, without the time it spent on an answer."""
        if peer in self._states:
            self._states[peer].take_rtt(rtt_us, now_ms=now_ms)

    def on_heartbeat(self, peer: str, *, now_ms: int) -> None:
        """A peer was heard, with or without a report."""

    def on_probe(self, peer: str, *, reached: bool, now_ms: int) -> None:
        """Another peer tried to reach a suspected one for this node, and says whether it did."""

    def forget(self, peer: str) -> None:
        """A peer is gone: nothing is sent there until it is introduced or heard again."""
        self._states.pop(peer, None)
        self._prefixes.forget(peer)
        self._attempts = {
            ticket: attempt
            for ticket, attempt in self._attempts.items()
            if attempt.candidate.peer != peer
        }

    def list_due_probes(self, *, now_ms: int) -> tuple[str, ...]:
        """Peers whose report is old enough to ask for another, sorted by id."""
        return tuple(
            sorted(
                peer
                for peer, state in self._states.items()
                if not state.peer.local and not 0 <= state.age_ms(now_ms) < self._settings.probe_ms
            )
        )

    def list_indirect_probes(self, *, now_ms: int) -> tuple[str, ...]:
        """Silent peers that others should try to reach before they are taken for dead."""
        return ()

    # --- choosing ---------------------------------------------------------------------------------

    def choose(self, query: Query, *, now_ms: int, draw: int) -> Decision:
        """Pick the replica with the least predicted cost; changes nothing."""
        shows_prefix = query.privacy is Privacy.MESH and query.prefix
        depths = self._prefixes.find_depths(query.prefix, now_ms=now_ms) if shows_prefix else {}
        candidates = tuple(
            self._judge(self._states[peer], query, depths.get(peer, 0), now_ms)
            for peer in sorted(self._states)
        )
        eligible = [candidate for candidate in candidates if candidate.obstacle is None]
        if not eligible:
            return Decision(None, Reason.NONE_ELIGIBLE, candidates)
        cold = [candidate for candidate in eligible if candidate.is_cold]
        start = draw % len(eligible)
        ranked = cold or eligible
        start = draw % len(ranked)
        best = min(ranked[start:] + ranked[:start], key=lambda each: (each.cost_us, each.requests))
        reason = Reason.LEAST_COST if len(eligible) > 1 else Reason.ONLY_CANDIDATE
        return Decision(best, reason, candidates)

    def _judge(self, state: ReplicaState, query: Query, depth: int, now_ms: int) -> Candidate:
        refusal = check_terms(state, query) or check_report(state, query, self._settings, now_ms)
        offer: ModelOffer | None = None
        if refusal is None:
            assert state.report is not None, "a replica without a report is expired"
            offer, refusal = find_offer(state.report, query)
        if refusal is not None:
            return _make_refused(state, refusal, now_ms)
        assert offer is not None, "a model was found where nothing was refused"
        cached = min(depth * self._block_tokens, query.prompt_tokens)
        output_tokens = self._settings.output_tokens_start
        if query.max_output_tokens:
            output_tokens = min(output_tokens, query.max_output_tokens)
        cost = compute_cost(
            state,
            self._settings,
            model=offer.id,
            prompt_tokens=query.prompt_tokens,
            cached_tokens=cached,
            output_tokens=output_tokens,
            now_ms=now_ms,
        )
        return Candidate(
            peer=state.peer.id,
            name=state.name,
            model=offer.id,
            revision=offer.revision,
            obstacle=None,
            detail="",
            cost_us=cost.total_us,
            rtt_us=cost.rtt_us,
            prefill_us=cost.prefill_us,
            decode_us=cost.decode_us,
            penalty_us=cost.penalty_us,
            cached_tokens=cached,
            miss_tokens=cost.miss_tokens,
            queue_tokens=state.queue_tokens,
            requests=state.requests,
            slots=state.slots,
            age_ms=state.age_ms(now_ms),
            is_cold=state.requests < state.slots,
            is_suspect=False,
        )

    # --- own attempts -----------------------------------------------------------------------------

    def on_sent(self, query: Query, candidate: Candidate, *, now_ms: int) -> int:
        """A query leaves for a candidate of `choose`; the ticket names the attempt from here on."""
        self._tickets += 1
        state = self._states.get(candidate.peer)
        if state is not None:
            self._attempts[self._tickets] = _Attempt(query, candidate, now_ms)
            state.begin(self._tickets, candidate.miss_tokens, now_ms=now_ms)
        return self._tickets

    def on_first_token(self, ticket: int, *, now_ms: int) -> None:
        """The first token of an answer is there."""
        attempt = self._attempts.get(ticket)
        if attempt is None or attempt.first_ms is not None:
            return
        attempt.first_ms = attempt.last_ms = now_ms
        attempt.tokens = 1
        candidate = attempt.candidate
        state = self._states[candidate.peer]
        state.prefilled(ticket)
        state.find_rates(candidate.model).observe_prefill(
            now_ms - attempt.sent_ms - candidate.rtt_us // 1000,
            candidate.queue_tokens + candidate.miss_tokens,
        )

    def on_tokens(self, ticket: int, *, now_ms: int, tokens: int = 1) -> None:
        """Further tokens of an answer are there."""
        attempt = self._attempts.get(ticket)
        if attempt is not None:
            attempt.tokens += tokens
            attempt.last_ms = now_ms

    def on_finished(self, ticket: int, *, now_ms: int, output_tokens: int = 0) -> None:
        """An answer is complete; `output_tokens` as its usage says, 0 for as counted."""
        attempt = self._attempts.pop(ticket, None)
        if attempt is None:
            return
        state = self._states[attempt.candidate.peer]
        state.end(ticket)
        tokens = output_tokens or attempt.tokens
        if attempt.first_ms is not None and tokens > 1:
            state.find_rates(attempt.candidate.model).observe_decode(
                now_ms - attempt.first_ms, tokens - 1
            )

    def on_failure(
        self, ticket: int, fault: Fault, *, now_ms: int, draw: int, retry_after_ms: int = 0
    ) -> None:
        """An attempt failed; busy is neutral, broken counts, refused for good disables."""
        attempt = self._attempts.pop(ticket, None)
        if attempt is not None:
            state = self._states[attempt.candidate.peer]
            state.end(ticket)
            state.fault_ms = now_ms

    def on_cancelled(self, ticket: int, *, now_ms: int) -> None:
        """An attempt was given up by this side: who asked is gone, or another replica was faster."""
        attempt = self._attempts.pop(ticket, None)
        if attempt is not None:
            self._states[attempt.candidate.peer].end(ticket)

    # --- second chances ---------------------------------------------------------------------------

    def plan_retry(self, query: Query, peer: str, fault: Fault, *, now_ms: int, draw: int) -> Retry:
        """What follows a failure before the first token; call after `on_failure`.

        `query.tried` names the peers before; `peer` is the one that failed now. A planned retry
        takes from the retry budget.
        """
        again = replace(query, tried=(*query.tried, peer))
        if not fault.may_retry_elsewhere or len(again.tried) >= self._settings.attempts_max:
            none = Decision(None, Reason.NOT_WORTH, ())
            return Retry(none, detail="another replica would not help")
        return Retry(self.choose(again, now_ms=now_ms, draw=draw))

    def plan_resume(
        self,
        query: Query,
        candidate: Candidate,
        fault: Fault,
        *,
        now_ms: int,
        draw: int,
        resumed: int = 0,
        tool_call_begun: bool = False,
    ) -> Retry:
        """What follows a failure after the first token: by default nothing.

        With `query.may_resume`: another replica with the same model and revision, once, and never
        within a tool call or for a query that asks for a seed. `resumed` counts earlier ones.
        """
        return Retry(Decision(None, Reason.NOT_WORTH, ()), detail="answers are not continued")

    def stall_timeout_ms(self, peer: str, model: str) -> int:
        """How long a replica may send nothing within an answer before it counts as stalled."""
        return self._settings.stall_ms_min

    def hedge_delay_ms(self, ticket: int) -> int | None:
        """How long after `on_sent` a second replica is asked as well; None for never."""
        return None

    def plan_hedge(self, ticket: int, *, now_ms: int, draw: int) -> Decision:
        """Where the second copy of a query goes, if its budget and the load allow one.

        A choice takes from the hedge budget. Whoever's first token comes second is cancelled.
        """
        return Decision(None, Reason.BUDGET, ())


def _make_refused(state: ReplicaState, refusal: Refusal, now_ms: int) -> Candidate:
    obstacle, detail = refusal
    return Candidate(
        peer=state.peer.id,
        name=state.name,
        model="",
        revision="",
        obstacle=obstacle,
        detail=detail,
        cost_us=0,
        rtt_us=state.rtt_us,
        prefill_us=0,
        decode_us=0,
        penalty_us=0,
        cached_tokens=0,
        miss_tokens=0,
        queue_tokens=state.queue_tokens,
        requests=state.requests,
        slots=state.slots,
        age_ms=state.age_ms(now_ms),
        is_cold=state.requests < state.slots,
        is_suspect=False,
    )
