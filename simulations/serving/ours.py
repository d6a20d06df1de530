"""The router that runs in a node, behind the port of the simulation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from meshnode.routing.decision import Candidate, Decision, Obstacle
from meshnode.routing.faults import Fault
from meshnode.routing.query import Query
from meshnode.routing.report import ModelOffer, Peer, Report
from meshnode.routing.router import Router
from simulations.serving.port import Attempt, Failure, Placement, Refusal, Status
from simulations.serving.traces import Request

if TYPE_CHECKING:
    import random

MODEL: Final = "kimi"
REMAINING_MS: Final = 600_000
FAULTS: Final[dict[Failure, Fault]] = {
    "refused": Fault.OVERLOADED,
    "rate_limited": Fault.RATE_LIMITED,
    "unreachable": Fault.UNREACHABLE,
    "timeout": Fault.TIMEOUT,
    "malformed": Fault.MALFORMED,
    "gone": Fault.TRUNCATED,
}
_OFFERS: Final = (ModelOffer(id=MODEL),)
_ANY: Final = Query(model=MODEL)
_LOST: Final = frozenset({Obstacle.DEAD, Obstacle.EXPIRED})
_DRAW_BITS: Final = 64
_BASIS_POINTS: Final = 10_000
_US_PER_MS: Final = 1_000


@dataclass(slots=True)
class _Token:
    """What an attempt was chosen by, and its name at the router."""

    query: Query
    candidate: Candidate
    ticket: int = 0


class Ours:
    """`meshnode.routing`, told what a node tells it."""

    def __init__(self, replicas: int, stream: random.Random) -> None:
        self.router = Router()
        self.obstacles: dict[str, int] = {}
        """How often something kept a replica from being chosen."""
        self._stream = stream
        self._ids = [f"replica-{number:03}" for number in range(replicas)]
        self._numbers = {peer: number for number, peer in enumerate(self._ids)}
        for peer in self._ids:
            self.router.on_peer(Peer(id=peer))

    # --- choosing ---------------------------------------------------------------------------------

    def choose(self, now_ms: int, request: Request, first_token_ms: int) -> Placement | Refusal:
        """See `Policy`."""
        query = Query(
            model=MODEL,
            prompt_tokens=request.input_tokens,
            first_token_ms=first_token_ms,
            remaining_ms=REMAINING_MS,
            prefix=request.blocks,
        )
        decision = self.router.choose(query, now_ms=now_ms, draw=self._draw())
        for candidate in decision.candidates:
            if candidate.obstacle is not None:
                name = candidate.obstacle.value
                self.obstacles[name] = self.obstacles.get(name, 0) + 1
        return self._place(query, decision)

    def retry(
        self,
        now_ms: int,
        attempt: Attempt,
        failure: Failure,
        tried: tuple[int, ...],
        first_token_ms: int,
    ) -> Placement | Refusal:
        """See `Policy`."""
        query = replace(
            _unpack(attempt).query,
            tried=tuple(self._ids[one] for one in tried),
            first_token_ms=max(1, first_token_ms),
        )
        peer = self._ids[attempt.replica]
        retry = self.router.plan_retry(
            query, peer, FAULTS[failure], now_ms=now_ms, draw=self._draw()
        )
        where = self._place(query, retry.decision)
        return where if isinstance(where, Refusal) else where._replace(delay_ms=retry.delay_ms)

    def hedge(
        self, now_ms: int, attempt: Attempt, _tried: tuple[int, ...], /
    ) -> Placement | Refusal:
        """See `Policy`."""
        token = _unpack(attempt)
        decision = self.router.plan_hedge(token.ticket, now_ms=now_ms, draw=self._draw())
        return self._place(token.query, decision)

    def _place(self, query: Query, decision: Decision) -> Placement | Refusal:
        if decision.chosen is None:
            return Refusal(decision.reason.value)
        number = self._numbers[decision.chosen.peer]
        return Placement(number, token=_Token(query, decision.chosen))

    def _draw(self) -> int:
        return self._stream.getrandbits(_DRAW_BITS)

    # --- what became of it ------------------------------------------------------------------------

    def on_sent(self, now_ms: int, attempt: Attempt) -> int | None:
        """See `Policy`."""
        token = _unpack(attempt)
        token.ticket = self.router.on_sent(token.query, token.candidate, now_ms=now_ms)
        attempt.miss_tokens = token.candidate.miss_tokens
        return self.router.hedge_delay_ms(token.ticket)

    def on_first(self, now_ms: int, attempt: Attempt) -> None:
        """See `Policy`."""
        self.router.on_first_token(_unpack(attempt).ticket, now_ms=now_ms)

    def on_end(self, now_ms: int, attempt: Attempt) -> None:
        """See `Policy`."""
        ticket = _unpack(attempt).ticket
        self.router.on_finished(ticket, now_ms=now_ms, output_tokens=attempt.request.output_tokens)

    def on_failed(
        self, now_ms: int, attempt: Attempt, failure: Failure, retry_after_ms: int
    ) -> None:
        """See `Policy`."""
        self.router.on_failure(
            _unpack(attempt).ticket,
            FAULTS[failure],
            now_ms=now_ms,
            draw=self._draw(),
            retry_after_ms=retry_after_ms,
        )

    def on_cancelled(self, now_ms: int, attempt: Attempt) -> None:
        """See `Policy`."""
        self.router.on_cancelled(_unpack(attempt).ticket, now_ms=now_ms)

    # --- what replicas say ------------------------------------------------------------------------

    def on_status(self, now_ms: int, replica: int, status: Status, rtt_ms: float | None) -> None:
        """See `Policy`."""
        peer = self._ids[replica]
        if rtt_ms is not None:
            self.router.on_rtt(peer, round(rtt_ms * _US_PER_MS), now_ms=now_ms)
        self.router.on_heartbeat(peer, now_ms=now_ms)
        report = Report(
            sequence=status.sequence,
            models=_OFFERS,
            slots=status.slots,
            running=status.running,
            queued=status.queued,
            queued_prefill_tokens=status.queued_tokens,
            kv_usage_bp=round(status.memory_usage * _BASIS_POINTS),
            quota_domain=status.quota_domain,
        )
        self.router.on_report(peer, report, now_ms=now_ms)

    def on_digest(
        self, now_ms: int, replica: int, added: Sequence[int], removed: Sequence[int]
    ) -> None:
        """See `Policy`."""
        self.router.on_prefixes(self._ids[replica], added, now_ms=now_ms, removed=removed)

    def find_silent(self, now_ms: int, /) -> Collection[int]:
        """See `Policy`."""
        return [self._numbers[peer] for peer in self.router.list_silent(now_ms=now_ms)]

    def on_witness(self, now_ms: int, replica: int, reached: bool, /) -> None:  # noqa: FBT001
        """See `Policy`."""
        self.router.on_probe(self._ids[replica], reached=reached, now_ms=now_ms)

    def find_lost(self, now_ms: int) -> Collection[int]:
        """See `Policy`."""
        candidates = self.router.choose(_ANY, now_ms=now_ms, draw=0).candidates
        return [self._numbers[one.peer] for one in candidates if one.obstacle in _LOST]

    def count(self) -> dict[str, int]:
        """See `Policy`."""
        return dict(sorted(self.obstacles.items()))


def _unpack(attempt: Attempt) -> _Token:
    token = attempt.token
    assert isinstance(token, _Token), "the attempt is of another policy"
    return token
