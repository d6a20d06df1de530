"""Where questions meet the own engine: a slot, the chunks, the signed result.

The same path for everybody: the server feeds it from streams, the asking side calls it directly
when this node itself is the best replica.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from dag.genesis import Share
from dag.types import Kind
from meshnode.engines.base import ChatRequest, Chunk, EngineError, EngineFault, ModelInfo
from meshnode.engines.chunks import has_content
from meshnode.errors import DeadlineExceeded, MalformedMessage
from meshnode.routing.admission import Arrival
from meshnode.routing.affinity import BLOCK_TOKENS
from meshnode.routing.query import AUTO_MODEL
from meshnode.serving.assembly import AnswerAssembler, check_chunk
from meshnode.serving.prompt_cache import PromptCache, digest_prompt
from meshnode.serving.protocol import (
    CHUNK_BYTES_MAX,
    HEARTBEAT_MS,
    Done,
    Queued,
    clip_text,
)
from meshnode.serving.pump import pump_chunks
from meshnode.serving.reporting import Reporter
from meshnode.serving.results import Reasoning, choose_share, make_result_body
from meshnode.serving.slots import Place, Slots
from meshnode.shell.placement_table import Placement

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meshnode.engines.base import Engine
    from meshnode.serving.port import MeshPort

TOKEN_BYTES = 4
"""Of a question's JSON, about so many are a token."""
KNOWLEDGE_WAIT_MS = 2_000
"""How long a vertex a question builds on may take to arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A question as the desk takes it."""

    requester: bytes
    """Author id of who asks, proved by the connection."""
    body: bytes
    """The request in JSON, as it was asked."""
    request: ChatRequest
    share: Share
    remaining_ms: int
    knowledge: tuple[bytes, ...] = ()
    paid: bool = False
    """Whether a contract pays for it."""
    private: bool = False
    """Whether no report may hold a digest of the prompt."""

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the question has."""
        return -(-len(self.body) // TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of an answer, and its JSON."""

    chunk: Chunk
    data: bytes


Progress = Queued | Piece | Done
"""What an answer consists of, from whichever side it comes."""


class Desk:
    """Serves one engine to this node and, where the engine may be shared, to its peers."""

    def __init__(
        self, engine: Engine, port: MeshPort, *, serves_free: bool = True, token_ms_max: int = 0
    ) -> None:
        """With `serves_free` off, whoever else asks has to have a contract.

        While a token takes longer than `token_ms_max`, fewer questions run at once; 0 for never.
        """
        self._engine = engine
        self._port = port
        self._serves_free = serves_free
        self._load_changed = asyncio.Event()
        self._slots = Slots(
            engine.slots,
            changed=self._load_changed.set,
            read_clock_ms=port.read_clock_ms,
            token_ms_max=token_ms_max,
        )
        self._cache = PromptCache()
        self.reporter: Final = Reporter(
            engine,
            port,
            self._slots,
            self._cache,
            changed=self._load_changed,
            offers=engine.shareable and serves_free,
        )
        self._models: tuple[ModelInfo, ...] = ()
        self._draining = False

    @property
    def engine(self) -> Engine:
        """The engine behind the desk."""
        return self._engine

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """What the engine offers."""
        return self._models

    @property
    def is_draining(self) -> bool:
        """Whether no more questions are taken."""
        return self._draining

    @property
    def running(self) -> int:
        """Questions that run now, of whomever."""
        return self._slots.running

    @property
    def queued(self) -> int:
        """Questions that wait for a slot."""
        return self._slots.queued

    async def start(self) -> None:
        """Load the engine and tell peers. Raises `EngineError`."""
        await self._engine.start()
        self._models = tuple(await self._engine.models())
        await self.reporter.start(self._models)

    async def drain(self, *, timeout_ms: int = 0) -> None:
        """Take no more questions, tell peers, and give those at work so long to end."""
        self._draining = True
        self._slots.drain()
        await self.reporter.stop()
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                while self.running or self.queued:
                    self._load_changed.clear()
                    await self._load_changed.wait()
        except TimeoutError:
            return  # closing the engine ends them

    async def close(self) -> None:
        """Stop the engine."""
        await self._engine.close()

    def serves(self, model: str) -> bool:
        """Whether a question for this model can be answered here."""
        return bool(self._models) and model in {AUTO_MODEL, *(each.id for each in self._models)}

    def check_admission(self, requester: bytes, *, paid: bool = False, size_bytes: int = 2) -> None:
        """Raises `EngineError` when a question of this author would be refused now."""
        tokens = -(-size_bytes // TOKEN_BYTES)
        try:
            self._check_terms(requester, paid=paid)
            self._slots.check_room(
                Arrival(
                    tenant=requester.hex(), prompt_tokens=tokens, size_bytes=size_bytes, paid=paid
                )
            )
        except EngineError as error:
            self._note_placement(requester, "", error.message, allowed=False)
            raise

    def _check_terms(self, requester: bytes, *, paid: bool) -> None:
        foreign = requester != self._port.author
        if foreign and not (paid or self._serves_free):
            raise EngineError(
                EngineFault.FORBIDDEN,
                "this peer answers only what is paid for",
                hint="bid for it: meshnode ask --max-price",
            )
        if foreign and not self._engine.shareable:
            raise EngineError(
                EngineFault.FORBIDDEN,
                f"the {self._engine.name} engine here serves its owner only",
                hint="ask a peer that hosts its own weights",
            )
        if self._draining:
            raise EngineError(
                EngineFault.OVERLOADED, "this peer is shutting down", hint="ask another peer"
            )

    async def answer(self, job: Job) -> AsyncGenerator[Progress, None]:
        """Answer a question; the last item is `Done`, its vertex durable.

        Closing the iterator, or cancelling who reads it, stops the engine. Raises `EngineError`
        and `DeadlineExceeded`.
        """
        run = _Run(self._port.read_clock_ms(), job.remaining_ms)
        assembler = AnswerAssembler()
        digests = self._digest(job)
        place = await self._take_place(job, digests)
        try:
            while not place.granted.is_set():
                yield self._make_queued(place)
                await self._wait_for_slot(place, run)
            run.granted_ms = self._port.read_clock_ms()
            yield self._make_queued(place)
            async with pump_chunks(self._engine, job.request) as pump:
                while True:
                    try:
                        chunk = await pump.next_chunk(self._next_wait_ms(run))
                    except TimeoutError:
                        yield self._make_queued(place)
                        continue
                    if chunk is None:
                        break
                    piece = encode_piece(chunk)
                    if assembler.add(piece.chunk, size_bytes=len(piece.data)):
                        run.note_token(self._port.read_clock_ms())
                    if has_content(piece.chunk):
                        self._slots.note_token(place)
                    yield piece
            self._cache.add(digests, now_ms=self._port.read_clock_ms())
        finally:
            self._slots.leave(place)
        yield await self._publish(job, run, assembler)

    async def _take_place(self, job: Job, digests: tuple[int, ...]) -> Place:
        model = str(job.request.get("model") or "")
        try:
            self._check_terms(job.requester, paid=job.paid)
            await self._check_knowledge(job.knowledge)
            place = self._slots.enter(self._make_arrival(job, digests))
        except EngineError as error:
            self._note_placement(job.requester, model, error.message, allowed=False)
            raise
        reason = "a contract pays for it" if job.paid else "a place was free"
        self._note_placement(job.requester, model, reason, allowed=True)
        return place

    def _note_placement(self, requester: bytes, model: str, reason: str, *, allowed: bool) -> None:
        """Write down what was decided for others; own questions are written down as asked."""
        if requester == self._port.author:
            return
        self._port.note_placement(
            Placement(
                time_ms=self._port.read_clock_ms(),
                role="serving",
                requester=requester,
                owner=self._port.author,
                backend="hosted" if self._engine.shareable else "account",
                engine=clip_text(self._engine.name),
                model=clip_text(model),
                allowed=allowed,
                reason=clip_text(reason),
            )
        )

    def _make_queued(self, place: Place) -> Queued:
        return Queued(self._slots.find_position(place), self.reporter.make_load())

    def _digest(self, job: Job) -> tuple[int, ...]:
        if job.private:
            return ()
        model = str(job.request.get("model") or "")
        return digest_prompt(
            job.request,
            network=self._port.network,
            model=model,
            revision=self._find_revision(model),
        )

    def _make_arrival(self, job: Job, digests: tuple[int, ...]) -> Arrival:
        held = self._cache.count_held(digests, now_ms=self._port.read_clock_ms())
        return Arrival(
            tenant=job.requester.hex(),
            prompt_tokens=max(1, job.prompt_tokens - held * BLOCK_TOKENS),
            size_bytes=len(job.body),
            remaining_ms=job.remaining_ms,
            first_token_ms=job.remaining_ms,
            paid=job.paid,
        )

    async def _check_knowledge(self, knowledge: tuple[bytes, ...]) -> None:
        for vertex_id in knowledge:
            if await self._port.find_vertex(vertex_id, timeout_ms=KNOWLEDGE_WAIT_MS) is None:
                raise EngineError(
                    EngineFault.BAD_REQUEST,
                    f"the vertex {vertex_id.hex()[:12]} the question builds on is not held here",
                    hint="name a vertex that `meshnode dag log` shows",
                )

    async def _wait_for_slot(self, place: Place, run: _Run) -> None:
        try:
            async with asyncio.timeout(self._next_wait_ms(run) / 1000):
                await place.granted.wait()
        except TimeoutError:
            return

    def _next_wait_ms(self, run: _Run) -> int:
        remaining_ms = run.deadline_ms - self._port.read_clock_ms()
        if remaining_ms <= 0:
            raise DeadlineExceeded("the question ran out of time", hint="allow more time for it")
        return min(HEARTBEAT_MS, remaining_ms)

    async def _publish(self, job: Job, run: _Run, assembler: AnswerAssembler) -> Done:
        total_ms = self._port.read_clock_ms() - run.started_ms
        model = assembler.model or str(job.request.get("model") or "")
        reasoning = Reasoning(
            body=job.body,
            requester=job.requester,
            model=model,
            model_revision=self._find_revision(model),
            engine=self._engine.name,
            content=assembler.content,
            finish_reason=assembler.finish_reason or "unknown",
            prompt_tokens=assembler.prompt_tokens or 0,
            completion_tokens=assembler.completion_tokens or 0,
            queued_ms=run.granted_ms - run.started_ms,
            first_token_ms=total_ms if run.token_ms is None else run.token_ms - run.started_ms,
            total_ms=total_ms,
        )
        body, share = await make_result_body(
            self._port, reasoning, choose_share(self._port.share, job.share)
        )
        signed = await self._port.publish(Kind.RESULT, body, job.knowledge)
        return Done(
            vertex=signed.id,
            lamport=signed.vertex.lamport,
            engine=clip_text(reasoning.engine),
            model=clip_text(reasoning.model),
            share=share,
            finish_reason=clip_text(reasoning.finish_reason),
            prompt_tokens=reasoning.prompt_tokens,
            completion_tokens=reasoning.completion_tokens,
            queued_ms=reasoning.queued_ms,
            first_token_ms=reasoning.first_token_ms,
            total_ms=reasoning.total_ms,
            load=self.reporter.make_load(),
        )

    def _find_revision(self, model_id: str) -> str:
        for model in self._models:
            if model.id == model_id:
                return model.revision
        return ""


class _Run:
    """The times of one answer."""

    def __init__(self, started_ms: int, remaining_ms: int) -> None:
        self.started_ms = started_ms
        self.deadline_ms = started_ms + remaining_ms
        self.granted_ms = started_ms
        self.token_ms: int | None = None

    def note_token(self, now_ms: int) -> None:
        """Remember when the first text came."""
        if self.token_ms is None:
            self.token_ms = now_ms


def encode_piece(chunk: object) -> Piece:
    """A chunk with its JSON. Raises `EngineError` for what cannot be passed on."""
    try:
        checked = check_chunk(chunk)
        data = msgspec.json.encode(checked)
    except (MalformedMessage, TypeError, ValueError, RecursionError) as error:
        raise EngineError(
            EngineFault.MALFORMED, f"the engine produced a chunk that is not JSON: {error}"
        ) from None
    if len(data) > CHUNK_BYTES_MAX:
        raise EngineError(
            EngineFault.MALFORMED,
            f"the engine produced a chunk of {len(data)} bytes, more than {CHUNK_BYTES_MAX}",
        )
    return Piece(checked, data)
