"""The asking side: pick a replica, stream its answer, take another one if it fails in time.

Another replica is tried only before the first token, and at most two of them. After it, whatever
arrived is handed over inside a clear error: a second model would continue a different thought.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from dag.genesis import Share
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    InvalidMessage,
    MeshError,
    NoPeerServes,
    TransportError,
)
from meshnode.routing.policy import Choice, choose_replica, find_obstacle
from meshnode.routing.replica import AUTO_MODEL, Replica
from meshnode.serving.attempt import Attempt
from meshnode.serving.desk import Desk, Job
from meshnode.serving.protocol import KNOWLEDGE_MAX, REMAINING_MS_MAX, REQUEST_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meshnode.serving.port import MeshPort, Payer
    from meshnode.views import StreamItem

ATTEMPTS_MAX = 3
"""The first replica and at most two others."""
PREFIX_CHARS_MIN = 4
_NEUTRAL = frozenset({EngineFault.OVERLOADED, EngineFault.RATE_LIMITED})
"""Faults that say nothing against a replica: it is busy, not broken."""

_RETRIED = (EngineError, TransportError, InvalidMessage)
"""Failures of a replica, as against those of this node or of the question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, of whom, and for how long."""

    request: dict[str, Any]
    """A chat completion request; its model is filled in for the replica that gets it."""
    model: str = AUTO_MODEL
    share: Share = "full"
    timeout_ms: int = 120_000
    knowledge: tuple[bytes, ...] = ()
    peer: str = ""
    """Ask only this peer: its transport id, its name, or the start of its author id."""


class Asker:
    """Asks questions over the mesh and of the own engine."""

    def __init__(self, port: MeshPort, desk: Desk | None) -> None:
        self._port = port
        self._desk = desk
        self._outstanding: dict[str, int] = {}
        self._failed_ms: dict[str, int] = {}
        self._rotation = 0

    @property
    def outstanding(self) -> int:
        """Own questions that have not ended."""
        return sum(self._outstanding.values())

    async def stream(self, question: Question) -> AsyncGenerator[StreamItem, None]:
        """Answer a question: one `Started`, then `Delta`s, then `Finished`.

        Closing the iterator, or cancelling who reads it, stops the peer's work. Raises
        `NoPeerServes`, `EngineError`, `DeadlineExceeded`, `AnswerInterrupted` and, for a question
        that cannot be asked, `CommandRejected`.
        """
        _check_question(question)
        started_ms = self._port.read_clock_ms()
        self._rotation += 1
        excluded: list[str] = []
        tried: list[str] = []
        failure: EngineError | None = None
        while True:
            choice = self._choose(question, excluded, failure)
            job = self._make_job(question, choice.model, started_ms)
            attempt = Attempt(
                self._port, self._desk, choice, job, started_ms=started_ms, tried=tuple(tried)
            )
            try:
                async with aclosing(self._run(attempt, choice.replica)) as items:
                    async for item in items:
                        yield item
                return
            except MeshError as error:
                self._note_failure(choice.replica, error)
                failure = _check_retry(attempt, choice.replica, error)
                tried.append(f"{choice.replica.name}: {error.message}")
            excluded.append(choice.replica.peer)
            if len(tried) == ATTEMPTS_MAX:
                raise _summarise(tried, failure)

    async def stream_paid(
        self,
        question: Question,
        choice: Choice,
        payer: Payer,
        *,
        started_ms: int,
        tried: tuple[str, ...],
    ) -> AsyncGenerator[StreamItem, None]:
        """Ask one peer, which is paid; the items and errors are those of `stream`."""
        _check_question(question)
        job = self._make_job(question, choice.model, started_ms)
        attempt = Attempt(
            self._port,
            None,
            choice,
            job,
            started_ms=started_ms,
            tried=tried,
            payer=payer,
        )
        try:
            async with aclosing(self._run(attempt, choice.replica)) as items:
                async for item in items:
                    yield item
        except MeshError as error:
            self._note_failure(choice.replica, error)
            if attempt.streaming:
                raise _make_interrupted(attempt, choice.replica, error) from error
            raise

    def _choose(
        self, question: Question, excluded: list[str], failure: EngineError | None
    ) -> Choice:
        replicas = self._list_replicas()
        if question.peer:
            replicas = [_find_peer(replicas, question.peer)]
        choice = choose_replica(
            replicas,
            question.model,
            now_ms=self._port.read_clock_ms(),
            excluded=excluded,
            rotation=self._rotation,
        )
        if choice is not None:
            return choice
        raise failure or _make_no_peer(question, replicas)

    def _list_replicas(self) -> list[Replica]:
        replicas = [] if self._desk is None else [self._desk.make_replica()]
        replicas.extend(
            Replica(
                peer=peer.peer,
                author=peer.author,
                name=peer.name or peer.author.hex()[:8],
                models=tuple(model.id for model in peer.models),
                engine=peer.models[0].engine if peer.models else "",
                slots=peer.slots,
                running=peer.running,
                queued=peer.queued,
                outstanding=self._outstanding.get(peer.peer, 0),
                draining=peer.draining,
                failed_ms=self._failed_ms.get(peer.peer),
            )
            for peer in self._port.list_serving_peers()
        )
        present = {replica.peer for replica in replicas}
        self._failed_ms = {
            peer: failed_ms for peer, failed_ms in self._failed_ms.items() if peer in present
        }
        return replicas

    def _make_job(self, question: Question, model: str, started_ms: int) -> Job:
        remaining_ms = question.timeout_ms - (self._port.read_clock_ms() - started_ms)
        if remaining_ms <= 0:
            raise DeadlineExceeded(
                f"no answer within {question.timeout_ms} ms", hint="allow more time for it"
            )
        request = {**question.request, "model": model}
        return Job(
            requester=self._port.author,
            body=encode_request(request),
            request=request,
            share=question.share,
            remaining_ms=remaining_ms,
            knowledge=question.knowledge,
        )

    async def _run(self, attempt: Attempt, replica: Replica) -> AsyncGenerator[StreamItem, None]:
        """Stream an attempt, counted as outstanding at its peer while it lasts."""
        peer = replica.peer
        self._outstanding[peer] = self._outstanding.get(peer, 0) + 1
        try:
            async with aclosing(attempt.stream()) as items:
                async for item in items:
                    yield item
        finally:
            self._outstanding[peer] -= 1
            if not self._outstanding[peer]:
                del self._outstanding[peer]

    def _note_failure(self, replica: Replica, error: MeshError) -> None:
        if isinstance(error, InvalidMessage):
            self._port.report_offence(replica.peer, error)
        busy = isinstance(error, EngineError) and error.fault in _NEUTRAL
        if isinstance(error, _RETRIED) and not (busy or replica.local):
            self._failed_ms[replica.peer] = self._port.read_clock_ms()


def encode_request(request: dict[str, Any]) -> bytes:
    """The canonical JSON of a request. Raises `CommandRejected` for what is no JSON, or too much."""
    try:
        body = msgspec.json.encode(request, order="sorted")
    except (TypeError, ValueError, RecursionError) as error:
        raise CommandRejected(f"the question is not JSON: {error}") from None
    if len(body) > REQUEST_BYTES_MAX:
        raise CommandRejected(
            f"the question has {len(body)} bytes where {REQUEST_BYTES_MAX} are allowed",
            hint="ask with less text",
        )
    return body


def _check_question(question: Question) -> None:
    if not 1 <= question.timeout_ms <= REMAINING_MS_MAX:
        raise CommandRejected(
            f"a time-out of {question.timeout_ms} ms cannot be kept",
            hint=f"choose one from 1 to {REMAINING_MS_MAX} ms",
        )
    if len(question.knowledge) > KNOWLEDGE_MAX:
        raise CommandRejected(
            f"the question builds on {len(question.knowledge)} vertices",
            hint=f"name at most {KNOWLEDGE_MAX}",
        )


def _check_retry(attempt: Attempt, replica: Replica, error: MeshError) -> EngineError:
    """The failure to remember while another replica is tried; raises where none may be."""
    if attempt.streaming:
        raise _make_interrupted(attempt, replica, error) from error
    if not isinstance(error, _RETRIED):
        raise error
    if isinstance(error, EngineError):
        if not error.may_retry_elsewhere:
            raise error
        return error
    fault = EngineFault.MALFORMED if isinstance(error, InvalidMessage) else EngineFault.UNREACHABLE
    return EngineError(
        fault, f"{replica.name} did not answer: {error.message}", hint="ask again or another peer"
    )


def _make_interrupted(attempt: Attempt, replica: Replica, error: MeshError) -> AnswerInterrupted:
    return AnswerInterrupted(
        f"the answer of {replica.name} broke off: {error.message}",
        text=attempt.text,
        hint="ask again",
    )


def _summarise(tried: list[str], failure: EngineError) -> EngineError:
    return EngineError(
        failure.fault,
        f"{len(tried)} peers were asked in vain: {'; '.join(tried)}",
        retry_after_ms=failure.retry_after_ms,
        hint="ask again later",
    )


def _find_peer(replicas: list[Replica], wanted: str) -> Replica:
    """The one replica a person means. Raises `CommandRejected`."""
    found = [replica for replica in replicas if _is_meant(replica, wanted)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{replica.name} ({replica.author.hex()[:8]})" for replica in replicas)
    if found:
        raise CommandRejected(f"'{wanted}' means {len(found)} peers", hint=f"connected: {names}")
    raise NoPeerServes(
        f"no connected peer is called '{wanted}'", hint=f"connected: {names or 'nobody'}"
    )


def _is_meant(replica: Replica, wanted: str) -> bool:
    by_author = len(wanted) >= PREFIX_CHARS_MIN and replica.author.hex().startswith(wanted.lower())
    return by_author or wanted in {replica.peer, replica.name}


def _make_no_peer(question: Question, replicas: list[Replica]) -> NoPeerServes:
    if not replicas:
        return NoPeerServes(
            "no peer is connected, and this node has no engine",
            hint="start with an engine, or connect to a peer that has one",
        )
    wanted = "any model" if question.model == AUTO_MODEL else f"model '{question.model}'"
    obstacles = [
        f"{replica.name}: {find_obstacle(replica, question.model)}" for replica in replicas
    ]
    return NoPeerServes(
        f"nobody reachable serves {wanted} ({'; '.join(obstacles[:16])})",
        hint="ask for a model that is served, or wait for a peer that serves it",
    )
