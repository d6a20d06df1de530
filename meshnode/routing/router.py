"""The router of one node: what it is told, which replica it chooses, what it learns from the end.

One object per node. Every call takes the time of the caller's monotonic clock in milliseconds;
`draw` is a fresh random integer of at least 32 bits, handed in because a kernel draws none. The
same calls give the same decisions, bit for bit.

An attempt's life: `choose`, then `on_sent` for a ticket, then `on_first_token`, `on_tokens` and
exactly one of `on_finished`, `on_failure`, `on_cancelled`. Calls with the ticket of an attempt
that is over, or whose peer was forgotten, do nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshnode.routing.affinity import BLOCK_TOKENS
from meshnode.routing.attempts import Attempts
from meshnode.routing.budget import HedgeBudget, RetryBudget
from meshnode.routing.decision import Candidate, Decision, Reason, Retry
from meshnode.routing.detection import Vitality
from meshnode.routing.draws import derive
from meshnode.routing.failover import find_backoff_ms, forbid_resume, forbid_retry
from meshnode.routing.hedging import PredictionErrors, has_room
from meshnode.routing.replica_state import ReplicaState
from meshnode.routing.report import Peer, Report
from meshnode.routing.selection import Knowledge, choose
from meshnode.routing.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.routing.faults import Fault
    from meshnode.routing.query import Query

BURIED_MAX = 1_024
_BACKOFF = 1_000
"""What a draw is used for beside the choice."""


class Router:
    """Chooses replicas for the queries of one node."""

    def __init__(
        self, settings: Settings | None = None, *, block_tokens: int = BLOCK_TOKENS
    ) -> None:
        """`block_tokens` is how many prompt tokens one digest of `Query.prefix` stands for."""
        self._settings = settings or Settings()
        self._knowledge = Knowledge.make(self._settings, block_tokens)
        self._states = self._knowledge.states
        self._errors = PredictionErrors()
        self._attempts = Attempts(self._knowledge, self._errors)
        self._retries = RetryBudget()
        self._hedges = HedgeBudget()
        self._buried: dict[str, int] = {}
        """Last incarnations of peers that were forgotten, the latest ones."""

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

        One that another peer passed on (`relayed`) introduces nobody, and cannot bring back who
        was forgotten or is dead unless its incarnation is a later one.
        """
        if relayed and not self._is_credible(peer, report, now_ms):
            return False
        if peer not in self._states:
            self.on_peer(Peer(id=peer))
        state = self._states[peer]
        if not state.take_report(report, now_ms=now_ms):
            return False
        state.heartbeats.hear(now_ms)
        if state.requests < state.slots:
            self._knowledge.cooldowns.on_room(state.domain)
        return True

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
            self._knowledge.prefixes.replace(peer, digests, now_ms=now_ms)
        else:
            self._knowledge.prefixes.remove(peer, removed)
            self._knowledge.prefixes.add(peer, digests, now_ms=now_ms)

    def on_rtt(self, peer: str, rtt_us: int, *, now_ms: int) -> None:
        """A round trip to a peer was measured, without the time it spent on an answer."""
        if peer in self._states:
            self._states[peer].take_rtt(rtt_us, now_ms=now_ms)

    def on_heartbeat(self, peer: str, *, now_ms: int) -> None:
        """A peer was heard, without a report."""
        if peer in self._states:
            self._states[peer].heartbeats.hear(now_ms)

    def on_heard(self, peer: str, *, now_ms: int) -> None:
        """The connection that brings a peer's reports, in order, was heard: the newest one holds."""
        state = self._states.get(peer)
        if state is not None and state.confirm(now_ms=now_ms):
            state.heartbeats.hear(now_ms)

    def on_probe(self, peer: str, *, reached: bool, now_ms: int) -> None:
        """Another peer tried to reach a silent one for this node, and says whether it did."""
        if peer not in self._states:
            return
        if reached:
            self._states[peer].heartbeats.hear(now_ms)
        else:
            self._states[peer].heartbeats.miss()

    def forget(self, peer: str) -> None:
        """A peer is gone: nothing is sent there until it is introduced or heard again."""
        state = self._states.pop(peer, None)
        self._knowledge.prefixes.forget(peer)
        self._attempts.forget(peer)
        if state is not None and state.report is not None:
            self._buried.pop(peer, None)
            self._buried[peer] = state.report.incarnation
            if len(self._buried) > BURIED_MAX:
                del self._buried[next(iter(self._buried))]

    def list_due_probes(self, *, now_ms: int) -> tuple[str, ...]:
        """Peers whose report is old enough to ask for another, sorted by id."""
        return tuple(
            peer
            for peer in sorted(self._states)
            if not self._states[peer].peer.local
            and not 0 <= self._states[peer].age_ms(now_ms) < self._settings.probe_ms
        )

    def list_silent(self, *, now_ms: int) -> tuple[str, ...]:
        """Peers that others should try to reach (`on_probe`) before they count as dead, sorted."""
        return tuple(
            peer
            for peer in sorted(self._states)
            if self._states[peer].heartbeats.judge(now_ms) is Vitality.SILENT
        )

    # --- choosing ---------------------------------------------------------------------------------

    def choose(self, query: Query, *, now_ms: int, draw: int) -> Decision:
        """Pick the replica with the least predicted cost; changes nothing that counts."""
        return choose(self._knowledge, query, now_ms=now_ms, draw=draw)

    # --- own attempts -----------------------------------------------------------------------------

    def on_sent(self, query: Query, candidate: Candidate, *, now_ms: int) -> int:
        """A query leaves for a candidate of `choose`; the ticket names the attempt from here on."""
        if not (query.tried or query.again):
            self._retries.note_request(now_ms)
            self._hedges.note_request()
        return self._attempts.begin(query, candidate, now_ms=now_ms)

    def on_first_token(self, ticket: int, *, now_ms: int) -> None:
        """The first token of an answer is there."""
        self._attempts.note_first_token(ticket, now_ms=now_ms)

    def on_tokens(self, ticket: int, *, now_ms: int, tokens: int = 1) -> None:
        """Further tokens of an answer are there."""
        self._attempts.note_tokens(ticket, tokens, now_ms=now_ms)

    def on_finished(self, ticket: int, *, now_ms: int, output_tokens: int = 0) -> None:
        """An answer is complete; `output_tokens` as its usage says, 0 for as counted."""
        self._attempts.finish(ticket, now_ms=now_ms, output_tokens=output_tokens)

    def on_failure(
        self, ticket: int, fault: Fault, *, now_ms: int, draw: int, retry_after_ms: int = 0
    ) -> None:
        """An attempt failed; busy is neutral, broken counts, refused for good disables."""
        self._attempts.fail(ticket, fault, now_ms=now_ms, draw=draw, retry_after_ms=retry_after_ms)

    def on_cancelled(self, ticket: int, *, now_ms: int) -> None:
        """An attempt was given up by this side: who asked is gone, or another replica was faster."""
        self._attempts.cancel(ticket, now_ms=now_ms)

    # --- second chances ---------------------------------------------------------------------------

    def plan_retry(self, query: Query, peer: str, fault: Fault, *, now_ms: int, draw: int) -> Retry:
        """What follows a failure before the first token; call after `on_failure`.

        `query.tried` names the peers before, `peer` is the one that failed now. A planned retry
        is taken from the retry budget.
        """
        again = _add_tried(query, peer)
        obstacle = forbid_retry(again, fault, self._settings)
        if obstacle:
            return Retry(Decision(None, Reason.NOT_WORTH, ()), detail=obstacle)
        return self._plan_next(again, peer, now_ms=now_ms, draw=draw)

    def take_retry(self, *, now_ms: int) -> bool:
        """Whether a query that waited may be sent again (`Query.again`); counts it if so.

        Waiting costs nothing; what follows is a second attempt as any other.
        """
        return self._retries.spend(now_ms)

    def is_limited(self, peer: str) -> bool:
        """Whether a peer is left alone for a limit of its account, which only time lifts."""
        state = self._states.get(peer)
        return state is not None and self._knowledge.cooldowns.is_limit(state.domain)

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
        obstacle = forbid_resume(
            query, fault, self._settings, resumed=resumed, tool_call_begun=tool_call_begun
        )
        if not (obstacle or candidate.revision):
            obstacle = "the revision of the model is unknown: another replica may differ"
        if obstacle:
            return Retry(Decision(None, Reason.NOT_WORTH, ()), detail=obstacle)
        again = replace(
            _add_tried(query, candidate.peer), model=candidate.model, revision=candidate.revision
        )
        retry = self._plan_next(again, candidate.peer, now_ms=now_ms, draw=draw)
        return retry._replace(resumes=retry.decision.chosen is not None)

    def stall_timeout_ms(self, peer: str, model: str) -> int:
        """How long a replica may send nothing within an answer before it counts as stalled."""
        state = self._states.get(peer)
        least_ms = self._settings.stall_ms_min
        return least_ms if state is None else state.find_service(model).gaps.stall_ms(least_ms)

    def hedge_delay_ms(self, ticket: int) -> int | None:
        """How long after `on_sent` a second replica is asked as well; None for never."""
        attempt = self._attempts.find(ticket)
        if attempt is None or not attempt.query.hedgeable:
            return None
        return self._errors.hedge_delay_ms(attempt.candidate.first_token_us // 1_000)

    def plan_hedge(self, ticket: int, *, now_ms: int, draw: int) -> Decision:
        """Where the second copy of a query goes, if its budget and the load allow one.

        A choice is taken from the hedge budget; send it with the query's `tried` grown by the
        first peer. Whose first token comes second is cancelled.
        """
        attempt = self._attempts.find(ticket)
        if attempt is None or attempt.first_ms is not None or not attempt.query.hedgeable:
            return Decision(None, Reason.NOT_WORTH, ())
        again = _add_tried(attempt.query, attempt.candidate.peer)
        decision = self.choose(again, now_ms=now_ms, draw=draw)
        if decision.chosen is None:
            return decision
        able = [each for each in decision.candidates if each.obstacle is None]
        if not has_room(sum(each.requests for each in able), sum(each.slots for each in able)):
            return decision._replace(chosen=None, reason=Reason.NOT_WORTH)
        if not self._hedges.spend():
            return decision._replace(chosen=None, reason=Reason.BUDGET)
        return decision

    def _plan_next(self, query: Query, failed: str, *, now_ms: int, draw: int) -> Retry:
        decision = self.choose(query, now_ms=now_ms, draw=draw)
        if decision.chosen is None:
            return Retry(decision, detail="no other replica can take the query")
        domain = self._states[decision.chosen.peer].domain
        if not self._retries.spend(now_ms):
            decision = decision._replace(chosen=None, reason=Reason.BUDGET)
            return Retry(decision, detail="the retry budget of the last ten seconds is used up")
        last = self._states.get(failed)
        if last is None or last.domain != domain:
            return Retry(decision)
        return Retry(decision, find_backoff_ms(len(query.tried), derive(draw, _BACKOFF)))

    def _is_credible(self, peer: str, report: Report, now_ms: int) -> bool:
        state = self._states.get(peer)
        if state is None or report.incarnation <= self._buried.get(peer, -1):
            return False
        if state.heartbeats.judge(now_ms) is not Vitality.DEAD:
            return True
        return state.report is None or report.incarnation > state.report.incarnation


def _add_tried(query: Query, peer: str) -> Query:
    return replace(query, tried=(*query.tried, peer))
