"""One replica's try at a question, the own engine's or a peer's."""

from __future__ import annotations

import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING

from meshnode.serving.assembly import AnswerAssembler, has_content
from meshnode.serving.desk import Piece
from meshnode.serving.protocol import Done
from meshnode.serving.remote import open_answer_stream, read_remote_answer
from meshnode.serving.results import is_result_of
from meshnode.views import Answer, Delta, Finished, Started, StreamItem, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from meshnode.routing.policy import Choice
    from meshnode.serving.desk import Desk, Job, Progress
    from meshnode.serving.port import MeshPort, Payer

HELD_PIECES_MAX = 16
"""Chunks without content that are held back so that another replica can still take over."""
VERTEX_WAIT_MS = 2_000
"""How long the result vertex may take to arrive after the answer."""


class Attempt:
    """Streams one replica's answer and checks its result vertex."""

    def __init__(
        self,
        port: MeshPort,
        desk: Desk | None,
        choice: Choice,
        job: Job,
        *,
        started_ms: int,
        tried: tuple[str, ...],
        payer: Payer | None = None,
    ) -> None:
        self._payer = payer
        self._port = port
        self._desk = desk
        self._choice = choice
        self._job = job
        self._started_ms = started_ms
        self._tried = tried
        self._assembler = AnswerAssembler()
        self._first_token_ms: int | None = None
        self._streaming = False

    @property
    def streaming(self) -> bool:
        """Whether the caller has seen anything of this answer."""
        return self._streaming

    @property
    def text(self) -> str:
        """What has arrived."""
        return self._assembler.text

    async def stream(self) -> AsyncGenerator[StreamItem, None]:
        """One `Started` with the first content, then `Delta`s, then `Finished`."""
        held: list[Delta] = []
        async with aclosing(self._answer()) as progress:
            async for item in progress:
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

    async def _answer(self) -> AsyncGenerator[Progress, None]:
        """The one difference between the own engine and a peer's is the stream in between."""
        replica = self._choice.replica
        if replica.local:
            assert self._desk is not None, "a local replica is the desk's"
            source = self._desk.answer(self._job)
        else:
            source = read_remote_answer(
                await open_answer_stream(self._port, replica.peer),
                self._job,
                request=secrets.token_bytes(16),
                read_clock_ms=self._port.read_clock_ms,
                payer=self._payer,
            )
        async with aclosing(source) as progress:
            async for item in progress:
                yield item

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
        replica = self._choice.replica
        return Started(
            model=self._assembler.model or self._choice.model,
            engine=replica.engine,
            author=replica.author.hex(),
            peer=replica.peer,
            name=replica.name,
            local=replica.local,
            attempts=self._tried,
        )

    async def _conclude(self, done: Done) -> Answer:
        total_ms = self._elapsed_ms()
        replica, assembler = self._choice.replica, self._assembler
        first_token_ms = self._first_token_ms
        return Answer(
            text=assembler.text,
            model=done.model,
            engine=done.engine,
            author=replica.author.hex(),
            peer=replica.peer,
            name=replica.name,
            local=replica.local,
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
        )

    async def _verify(self, done: Done) -> bool:
        signed = await self._port.find_vertex(done.vertex, timeout_ms=VERTEX_WAIT_MS)
        return signed is not None and is_result_of(
            signed,
            author=self._choice.replica.author,
            requester=self._port.author,
            body=self._job.body,
            content=self._assembler.content,
        )
