"""One replica's try at a question, the own engine's or a peer's."""

from __future__ import annotations

import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import has_content
from meshnode.errors import MeshError
from meshnode.serving.assembly import AnswerAssembler
from meshnode.serving.desk import Piece
from meshnode.serving.errand import Errand
from meshnode.serving.protocol import Done, Queued
from meshnode.serving.remote import Patience, open_answer_stream, read_remote_answer
from meshnode.serving.results import is_result_of
from meshnode.serving.sealed_stream import SealRefused, is_sealed
from meshnode.serving.sealing import learn_keys
from meshnode.views import Answer, Delta, Finished, Started, StreamItem, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meshnode.routing.faults import Fault
    from meshnode.serving.desk import Desk, Job, Progress
    from meshnode.serving.dispatcher import Dispatcher
    from meshnode.serving.port import MeshPort, Payer
    from meshnode.serving.target import Placed

HELD_PIECES_MAX = 16
"""Chunks without content that are held back so that another replica can still take over."""
VERTEX_WAIT_MS = 2_000
"""How long the result vertex may take to arrive after the answer."""


class Attempt:
    """Streams one replica's answer and checks its result vertex."""

    def __init__(
        self,
        port: MeshPort,
        dispatcher: Dispatcher,
        desk: Desk | None,
        placed: Placed,
        job: Job,
        *,
        started_ms: int,
        tried: tuple[str, ...],
        payer: Payer | None = None,
    ) -> None:
        self.placed = placed
        self.fault: Fault | None = None
        """What its failure was to the router."""
        self.errand = Errand(port, dispatcher, placed)
        self._dispatcher = dispatcher
        self._payer = payer
        self._port = port
        self._desk = desk
        self._target = placed.target
        self._job = job
        self._started_ms = started_ms
        self._tried = tried
        self._assembler = AnswerAssembler()
        self._first_token_ms: int | None = None
        self._has_content = False
        self._streaming = False
        self._sealed = False

    @property
    def streaming(self) -> bool:
        """Whether the caller has seen anything of this answer."""
        return self._streaming

    @property
    def assembler(self) -> AnswerAssembler:
        """What has arrived."""
        return self._assembler

    async def stream(self) -> AsyncGenerator[StreamItem, None]:
        """One `Started` with the first content, then `Delta`s, then `Finished`."""
        try:
            async with aclosing(self._stream()) as items:
                async for item in items:
                    yield item
        except MeshError as error:
            self.fault = self.errand.fail(error)
            raise
        finally:
            self.errand.cancel()
            if self._target.local:
                self._dispatcher.room.ring()  # nobody else says that a slot here is free

    async def _stream(self) -> AsyncGenerator[StreamItem, None]:
        held: list[Delta] = []
        async with aclosing(self._answer()) as progress:
            async for item in progress:
                self._note(item)
                if isinstance(item, Piece):
                    held.append(self._take(item))
                if not (self._streaming or self._may_start(item, len(held))):
                    continue
                if not self._streaming:
                    self._streaming = True
                    yield self._make_started()
                for delta in held:
                    yield delta
                held.clear()
                if isinstance(item, Done):
                    yield Finished(answer=await self._conclude(item))

    def _note(self, item: Progress) -> None:
        """Tell the router what an item shows."""
        if isinstance(item, Piece):
            if has_content(item.chunk):
                self.errand.note_token(first=not self._has_content)
                self._has_content = True
            return
        if not self._target.local:
            self._dispatcher.on_load(self._target.peer, item.load)
        if isinstance(item, Done):
            self.errand.finish(self._assembler.completion_tokens or 0)
        elif isinstance(item, Queued) and not self._has_content:
            self._check_first_token()

    def _check_first_token(self) -> None:
        waited_ms = self._elapsed_ms()
        if waited_ms > self.placed.query.first_token_ms:
            raise EngineError(
                EngineFault.TIMEOUT,
                f"no first word within {waited_ms} ms",
                hint="allow more time for it",
            )

    async def _answer(self) -> AsyncGenerator[Progress, None]:
        """The one difference between the own engine and a peer's is the stream in between."""
        if self._target.local:
            assert self._desk is not None, "a local replica is the desk's"
            source = self._desk.answer(self._job)
        else:
            source = self._answer_remotely()
        async with aclosing(source) as progress:
            async for item in progress:
                yield item

    async def _answer_remotely(self) -> AsyncGenerator[Progress, None]:
        """A peer's answer; where it has other sealing keys by now, the question goes out again."""
        if self._payer is not None:
            self._payer.begin(self._job.body, self._job.request)
        try:
            async with aclosing(await self._ask_peer()) as progress:
                async for item in progress:
                    yield item
            return
        except SealRefused as refused:
            learn_keys(self._port, self._target.peer, refused)
        async with aclosing(await self._ask_peer()) as progress:
            async for item in progress:
                yield item

    async def _ask_peer(self) -> AsyncGenerator[Progress, None]:
        target = self._target
        async with self._dispatcher.opening(target.peer):
            stream = await open_answer_stream(self._port, target.peer)
        self._sealed = is_sealed(stream)
        return read_remote_answer(
            stream,
            self._job,
            request=secrets.token_bytes(16),
            patience=Patience(
                read_clock_ms=self._port.read_clock_ms,
                rtt_ms=self._dispatcher.get_rtt_ms(target.peer),
                stall_ms=self._dispatcher.router.stall_timeout_ms(target.peer, target.model),
                is_dead=lambda: self._dispatcher.is_dead(target.peer),
            ),
            payer=self._payer,
            on_load=lambda load: self._dispatcher.on_load(target.peer, load),
        )

    def _may_start(self, item: Progress, held: int) -> bool:
        """Whether to show the caller something, which rules out every other replica."""
        if isinstance(item, Piece):
            return has_content(item.chunk) or held >= HELD_PIECES_MAX
        return isinstance(item, Done)

    def _take(self, piece: Piece) -> Delta:
        text = self._assembler.add(piece.chunk, size_bytes=len(piece.data))
        if text and self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
        return Delta(text=text, chunk=piece.chunk)

    def _elapsed_ms(self) -> int:
        return self._port.read_clock_ms() - self._started_ms

    def _make_started(self) -> Started:
        target = self._target
        return Started(
            model=self._assembler.model or target.model,
            engine=target.engine,
            author=target.author.hex(),
            peer=target.peer,
            name=target.name,
            local=target.local,
            attempts=self._tried,
        )

    async def _conclude(self, done: Done) -> Answer:
        total_ms = self._elapsed_ms()
        target, assembler = self._target, self._assembler
        first_token_ms = self._first_token_ms
        return Answer(
            text=assembler.text,
            model=done.model,
            engine=done.engine,
            author=target.author.hex(),
            peer=target.peer,
            name=target.name,
            local=target.local,
            share=done.share,
            vertex=done.vertex.hex(),
            lamport=done.lamport,
            verified=await self._verify(done),
            finish_reason=done.finish_reason,
            usage=Usage(
                prompt_tokens=assembler.prompt_tokens,
                completion_tokens=assembler.completion_tokens,
            ),
            queued_ms=done.queued_ms,
            first_token_ms=total_ms if first_token_ms is None else first_token_ms,
            total_ms=total_ms,
            attempts=self._tried,
            message=assembler.message,
            sealed=self._sealed,
        )

    async def _verify(self, done: Done) -> bool:
        signed = await self._port.find_vertex(done.vertex, timeout_ms=VERTEX_WAIT_MS)
        return signed is not None and is_result_of(
            signed,
            author=self._target.author,
            requester=self._port.author,
            body=self._job.body,
            content=self._assembler.content,
        )
