"""The asking side: pick a replica, stream its answer, take another one if it fails in time.

Another replica is tried only before the first token, and within the router's budget. After it,
whatever arrived is handed over inside a clear error: a second model would continue a different
thought. Who asks for it has an answer that broke off continued, once, by the same model elsewhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import aclosing
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    DeadlineExceeded,
    InvalidMessage,
    MeshError,
    TransportError,
)
from meshnode.routing.decision import Decision, Reason
from meshnode.serving.attempt import Attempt
from meshnode.serving.desk import Desk, Job
from meshnode.serving.dispatcher import Dispatcher, draw
from meshnode.serving.placing import (
    describe_no_target,
    find_peer,
    make_denied,
    make_placement,
)
from meshnode.serving.question import Question, check_question, encode_request, make_query
from meshnode.serving.race import find_first
from meshnode.serving.resuming import Seam, add_seams, make_resumed_request, mark_seam
from meshnode.serving.target import Placed, Target
from meshnode.serving.waiting import WAIT_MS_MAX, Waiter
from meshnode.views import Finished, Started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from meshnode.routing.decision import Candidate
    from meshnode.routing.query import Query
    from meshnode.serving.port import MeshPort, Payer, ServingPeer
    from meshnode.views import StreamItem

_RETRIED = (EngineError, TransportError, InvalidMessage)
"""Failures of a replica, as against those of this node or of the question."""
_PASSING = frozenset({EngineFault.OVERLOADED, EngineFault.UNREACHABLE})
"""After these, the same replica may be asked again once it has had a rest."""
LOST_MAX = 3
"""A question that lost so many replicas may be why, and waits for no further one."""
TRIED_MAX = 32
"""Failures that are told."""


@dataclasses.dataclass(slots=True)
class _Asking:
    """One question, over all its attempts."""

    question: Question
    started_ms: int
    peer: str
    """The one peer that may be asked; empty for any."""
    prefix: tuple[int, ...]
    tried: list[str] = dataclasses.field(default_factory=list)
    """One line for each attempt that failed, the latest ones."""
    passed: list[str] = dataclasses.field(default_factory=list)
    """Peers that were asked since the question last waited."""
    faults: list[EngineFault] = dataclasses.field(default_factory=list)
    """How its attempts failed."""
    rests: int = 0
    """How often it waited after a failure."""
    waited_ms: int = 0
    seams: list[Seam] = dataclasses.field(default_factory=list)
    """Where another replica went on with the text of one that broke off."""

    @property
    def request(self) -> dict[str, object]:
        """The question as it is asked now."""
        return make_resumed_request(self.question.request, self.seams)

    @property
    def may_wait(self) -> bool:
        """Whether what went wrong so far passes by itself."""
        lost = self.faults.count(EngineFault.UNREACHABLE)
        return _PASSING.issuperset(self.faults) and lost < LOST_MAX and not self.seams

    def note_failure(self, target: Target, message: str, fault: EngineFault) -> None:
        """An attempt failed before its first word."""
        self.tried.append(f"{target.name}: {message}")
        del self.tried[:-TRIED_MAX]
        self.faults.append(fault)


class Asker:
    """Asks questions over the mesh and of the own engine."""

    def __init__(
        self, port: MeshPort, desk: Desk | None, dispatcher: Dispatcher | None = None
    ) -> None:
        """Without a desk the own engine is not asked. What asks in one node shares a dispatcher."""
        self._port = port
        self._desk = desk
        self._dispatcher = dispatcher or Dispatcher(port)
        if desk is not None:
            self._dispatcher.set_desk(desk)
        self._outstanding = 0

    @property
    def dispatcher(self) -> Dispatcher:
        """What is known of replicas."""
        return self._dispatcher

    @property
    def outstanding(self) -> int:
        """Own questions that have not ended."""
        return self._outstanding

    async def stream(self, question: Question) -> AsyncGenerator[StreamItem, None]:
        """Answer a question: one `Started`, then `Delta`s, then `Finished`.

        Closing the iterator, or cancelling who reads it, stops the peer's work. Raises
        `NoPeerServes`, `PolicyRefused`, `EngineError`, `DeadlineExceeded`, `AnswerInterrupted` and,
        for a question that cannot be asked, `CommandRejected`.
        """
        check_question(question)
        self._outstanding += 1
        try:
            async with aclosing(self._stream(self._begin(question))) as items:
                async for item in items:
                    yield item
        finally:
            self._outstanding -= 1

    async def stream_paid(
        self,
        question: Question,
        target: Target,
        payer: Payer,
        *,
        started_ms: int,
        tried: tuple[str, ...],
    ) -> AsyncGenerator[StreamItem, None]:
        """Ask one peer, which is paid; the items and errors are those of `stream`."""
        check_question(question)
        asking = _Asking(question, started_ms, target.peer, (), list(tried))
        query = dataclasses.replace(self._make_query(asking), hedgeable=False)
        placed = Placed(target, query, self._dispatcher.judge(query, target.peer))
        attempt = self._make_attempt(asking, placed, payer)
        self._outstanding += 1
        try:
            async with aclosing(attempt.stream()) as items:
                async for item in items:
                    yield item
        except MeshError as error:
            self._note_failure(target, error)
            if attempt.streaming:
                raise _make_interrupted(target, attempt.assembler.text, error) from error
            raise
        finally:
            self._outstanding -= 1

    def explain(self, question: Question) -> tuple[Query, Decision]:
        """Where a question would go now, and as what it was judged. Nothing is asked."""
        check_question(question)
        return self._dispatcher.choose(self._make_query(self._begin(question)))

    # --- the way of one question -----------------------------------------------------------------

    def _begin(self, question: Question) -> _Asking:
        dispatcher = self._dispatcher
        dispatcher.refresh()
        peer = "" if not question.peer else find_peer(self._list_targets(), question.peer)
        shows = question.shows_prefix
        prefix = dispatcher.digest(question.request, question.model) if shows else ()
        return _Asking(question, self._port.read_clock_ms(), peer, prefix)

    async def _stream(self, asking: _Asking) -> AsyncGenerator[StreamItem, None]:
        query, decision = self._dispatcher.choose(self._make_query(asking))
        if decision.chosen is None:
            query, decision = await self._wait(asking, query)
        placed = self._place(asking, query, decision, None)
        while True:
            attempt = self._make_attempt(asking, placed)
            try:
                async with aclosing(self._run(asking, attempt)) as items:
                    async for item in items:
                        yield item
                return
            except _Failed as failed:
                placed = await self._place_again(asking, failed)
            if asking.seams:
                yield mark_seam(asking.seams[-1], placed.target)

    async def _run(self, asking: _Asking, attempt: Attempt) -> AsyncGenerator[StreamItem, None]:
        """The items of an attempt, or of a second one that was faster. Raises `_Failed`."""
        asking.passed.append(attempt.placed.target.peer)
        latest = attempt

        def hedge(slow: Attempt) -> Attempt | None:
            nonlocal latest
            second = self._hedge(asking, slow)
            latest = second or latest
            return second

        try:
            latest, items, first = await find_first(attempt, hedge)
            async with aclosing(items):
                if not (asking.seams and isinstance(first, Started)):
                    yield first
                async for item in items:
                    yield add_seams(item, asking.seams) if isinstance(item, Finished) else item
        except MeshError as error:
            raise _Failed(latest, error) from error

    def _hedge(self, asking: _Asking, slow: Attempt) -> Attempt | None:
        if slow.errand.ticket is None:
            return None
        decision = self._dispatcher.plan_hedge(slow.errand.ticket)
        if decision.chosen is None:
            return None
        query = slow.placed.query
        placed = Placed(self._make_target(decision.chosen), query, decision.chosen)
        asking.passed.append(placed.target.peer)
        asking.tried.append(f"{slow.placed.target.name}: slow, another was asked as well")
        self._port.note_placement(make_placement(self._port, placed.target, "a second copy"))
        return self._make_attempt(asking, placed)

    async def _place_again(self, asking: _Asking, failed: _Failed) -> Placed:
        """Where the question goes after a failure. Raises what ends it."""
        attempt, error = failed.attempt, failed.error
        target = attempt.placed.target
        self._note_failure(target, error)
        if attempt.streaming:
            return self._resume(asking, failed)
        failure = _check_retry(target, error)
        asking.note_failure(target, error.message, failure.fault)
        assert attempt.fault is not None, "what may be tried again is a fault of the replica's"
        passed = tuple(each for each in asking.passed if each != target.peer)
        query = dataclasses.replace(
            attempt.placed.query,
            tried=self._pass_over(passed),
            remaining_ms=self._count_remaining_ms(asking),
        )
        retry = self._dispatcher.plan_retry(query, target.peer, attempt.fault)
        if retry.decision.chosen is not None:
            await asyncio.sleep(min(retry.delay_ms, query.remaining_ms) / 1_000)
            return self._place(asking, query, retry.decision, failure)
        query = dataclasses.replace(query, tried=self._pass_over(()))
        query, decision = await self._wait(asking, query, retry.decision.reason)
        if decision.chosen is None:
            raise _summarise(asking.tried, failure) if len(asking.tried) > 1 else failure
        return self._place(asking, query, decision, failure)

    async def _wait(
        self, asking: _Asking, query: Query, reason: Reason = Reason.NONE_ELIGIBLE
    ) -> tuple[Query, Decision]:
        """Where the question goes once somebody can be asked, or nowhere."""
        if not asking.may_wait:
            return query, Decision(None, Reason.NOT_WORTH, ())
        began_ms = self._port.read_clock_ms()
        deadline_ms = asking.started_ms + asking.question.timeout_ms
        waiter = Waiter(
            self._port,
            self._dispatcher,
            query,
            deadline_ms=deadline_ms,
            passed=tuple(asking.passed),
            rests=asking.rests,
            is_spent=reason is Reason.NOT_WORTH,
            # Coming back to those who were lost makes no load that was not there before.
            is_charged=reason is not Reason.NONE_ELIGIBLE
            or EngineFault.OVERLOADED in asking.faults,
        )
        ends_ms = min(deadline_ms, began_ms + WAIT_MS_MAX - asking.waited_ms)
        query, decision = await waiter.find_place(ends_ms=ends_ms, draw=draw())
        asking.waited_ms += self._port.read_clock_ms() - began_ms
        asking.rests += bool(asking.passed)
        asking.passed.clear()
        return query, decision

    def _resume(self, asking: _Asking, failed: _Failed) -> Placed:
        """Where an answer that broke off is continued. Raises `AnswerInterrupted`."""
        attempt, error = failed.attempt, failed.error
        placed, assembler = attempt.placed, attempt.assembler
        text = "".join(seam.text for seam in asking.seams) + assembler.text
        interrupted = _make_interrupted(placed.target, text, error)
        if attempt.fault is None or placed.candidate is None:
            raise interrupted from error
        asking.tried.append(f"{placed.target.name}: {error.message}")
        query = self._make_query(asking)
        retry = self._dispatcher.plan_resume(
            query,
            placed.candidate,
            attempt.fault,
            resumed=len(asking.seams),
            tool_call_begun=assembler.has_tool_calls,
        )
        if retry.decision.chosen is None:
            raise interrupted from error
        asking.seams.append(Seam(placed.target, assembler.text, assembler.reasoning))
        return self._place(asking, query, retry.decision, None)

    # --- placing ---------------------------------------------------------------------------------

    def _place(
        self, asking: _Asking, query: Query, decision: Decision, failure: EngineError | None
    ) -> Placed:
        if decision.chosen is not None:
            placed = Placed(self._make_target(decision.chosen), query, decision.chosen)
            reason = str(decision.reason)
            self._port.note_placement(make_placement(self._port, placed.target, reason))
            return placed
        if failure is not None:
            raise failure
        error = describe_no_target(query, decision)
        self._port.note_placement(make_denied(self._port, asking.question.model, error.message))
        raise error

    def _make_target(self, candidate: Candidate) -> Target:
        if self._desk is not None and candidate.peer == self._port.peer:
            return self._make_own_target(self._desk, candidate.model)
        return _make_peer_target(self._dispatcher.peers[candidate.peer], candidate.model)

    def _list_targets(self) -> list[Target]:
        """Whoever may be meant by a name, without a model yet."""
        own = [] if self._desk is None else [self._make_own_target(self._desk, "")]
        return [*own, *(_make_peer_target(peer, "") for peer in self._dispatcher.peers.values())]

    def _make_own_target(self, desk: Desk, model: str) -> Target:
        return Target(
            peer=self._port.peer,
            author=self._port.author,
            name=self._port.name,
            model=model,
            engine=desk.engine.name,
            local=True,
            shareable=desk.engine.shareable,
        )

    def _make_query(self, asking: _Asking) -> Query:
        return make_query(
            asking.question,
            requester=self._port.author,
            size_bytes=len(encode_request({**asking.request, "model": ""})),
            remaining_ms=self._count_remaining_ms(asking),
            peer=asking.peer,
            prefix=asking.prefix,
            tried=self._pass_over(asking.passed),
        )

    def _pass_over(self, passed: Sequence[str]) -> tuple[str, ...]:
        """Who is asked no more: without a desk never the own engine, though others here use it."""
        if self._desk is None and self._dispatcher.has_desk:
            return (self._port.peer, *passed)
        return tuple(passed)

    def _count_remaining_ms(self, asking: _Asking) -> int:
        timeout_ms = asking.question.timeout_ms
        remaining_ms = timeout_ms - (self._port.read_clock_ms() - asking.started_ms)
        if remaining_ms <= 0:
            raise DeadlineExceeded(
                f"no answer within {timeout_ms} ms", hint="allow more time for it"
            )
        return remaining_ms

    def _make_attempt(self, asking: _Asking, placed: Placed, payer: Payer | None = None) -> Attempt:
        request = {**asking.request, "model": placed.target.model}
        question = asking.question
        job = Job(
            requester=self._port.author,
            body=encode_request(request),
            request=request,
            share=question.share,
            remaining_ms=self._count_remaining_ms(asking),
            knowledge=question.knowledge,
            private=not question.shows_prefix,
        )
        return Attempt(
            self._port,
            self._dispatcher,
            self._desk,
            placed,
            job,
            started_ms=asking.started_ms,
            tried=tuple(asking.tried),
            payer=payer,
        )

    def _note_failure(self, target: Target, error: MeshError) -> None:
        if isinstance(error, InvalidMessage) and not target.local:
            self._port.report_offence(target.peer, error)


class _Failed(Exception):
    """An attempt has ended without its answer."""

    def __init__(self, attempt: Attempt, error: MeshError) -> None:
        super().__init__(error.message)
        self.attempt = attempt
        self.error = error


def _make_peer_target(peer: ServingPeer, model: str) -> Target:
    return Target(
        peer=peer.peer,
        author=peer.author,
        name=peer.name or peer.author.hex()[:8],
        model=model,
        engine=peer.models[0].engine if peer.models else "",
    )


def _check_retry(target: Target, error: MeshError) -> EngineError:
    """The failure to remember while another replica is tried; raises where none may be."""
    if not isinstance(error, _RETRIED):
        raise error
    if isinstance(error, EngineError):
        if not error.may_retry_elsewhere:
            raise error
        return error
    fault = EngineFault.MALFORMED if isinstance(error, InvalidMessage) else EngineFault.UNREACHABLE
    return EngineError(
        fault, f"{target.name} did not answer: {error.message}", hint="ask again or another peer"
    )


def _make_interrupted(target: Target, text: str, error: MeshError) -> AnswerInterrupted:
    return AnswerInterrupted(
        f"the answer of {target.name} broke off: {error.message}", text=text, hint="ask again"
    )


def _summarise(tried: list[str], failure: EngineError) -> EngineError:
    return EngineError(
        failure.fault,
        f"{len(tried)} peers were asked in vain: {'; '.join(tried)}",
        retry_after_ms=failure.retry_after_ms,
        hint="ask again later",
    )
