"""The door's way through the node: one question, one answer, in whatever form was asked for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from meshnode.errors import AnswerInterrupted, MeshError, NoPeerServes
from meshnode.gateway.access import get_caller
from meshnode.gateway.door.calls import AUTO
from meshnode.gateway.door.ending import Ending
from meshnode.gateway.door.facts import get_cost_uruv, make_cost_header, make_headers
from meshnode.gateway.door.frames import encode_json
from meshnode.gateway.door.idempotency import Memory, read_retry_key
from meshnode.gateway.door.replies import HttpReply
from meshnode.gateway.refusals import UnknownModel
from meshnode.gateway.streaming import closing_items
from meshnode.views import Delta, Finished

if TYPE_CHECKING:
    from aiohttp import web

    from meshnode.engines.base import Chunk
    from meshnode.gateway.access import Caller
    from meshnode.gateway.door.calls import Call
    from meshnode.gateway.door.replies import Reply
    from meshnode.gateway.limits import Hold, Limits
    from meshnode.gateway.port import MeshNode, NodeHost
    from meshnode.views import Answer, Started


_log: Final = logging.getLogger(__name__)


class StreamForm(Protocol):
    """How an answer is shown piece by piece; every method gives whole events, or nothing."""

    def start(self, started: Started) -> bytes:
        """Somebody answers."""

    def take(self, chunk: Chunk) -> bytes:
        """A piece of the answer."""

    def finish(self, answer: Answer) -> bytes:
        """The answer is whole."""

    def fail(self, error: MeshError) -> bytes:
        """It never will be."""


class WholeForm(Protocol):
    """How an answer is shown at once."""

    def take(self, chunk: Chunk) -> None:
        """A piece of the answer."""

    def make(self, answer: Answer) -> dict[str, Any]:
        """The body."""


Form = StreamForm | WholeForm


class Door:
    """Asks the node for clients of OpenAI."""

    def __init__(self, host: NodeHost, limits: Limits) -> None:
        self._host = host
        self.limits = limits
        """Of what clients may have."""
        self._memory = Memory()
        self._tasks: set[asyncio.Task[None]] = set()

    def get_node(self) -> MeshNode:
        """The node. Raises `NotReady`."""
        return self._host.get_node()

    async def close(self) -> None:
        """End what goes on without its client."""
        await self._memory.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def answer(
        self, request: web.Request, body: bytes, call: Call, form: Form
    ) -> web.StreamResponse:
        """Answer a question; with an Idempotency-Key only once, however often it is sent."""
        caller = get_caller(request)
        retry_key = read_retry_key(request)
        reply = HttpReply(request, streams=call.stream)
        try:
            if retry_key is None:
                await self._run_until_told(call, form, reply, caller)
            else:
                await self._memory.answer(
                    (caller.id, request.path, retry_key),
                    body,
                    reply,
                    lambda kept: self._run(call, form, kept, caller),
                )
        finally:
            await reply.close()
        return reply.response

    async def _run_until_told(
        self, call: Call, form: Any, reply: HttpReply, caller: Caller
    ) -> None:
        """Until the client has its answer; the record of it is made after that."""
        task = asyncio.create_task(self._run(call, form, reply, caller), name="answer")
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        try:
            await reply.wait_over(task)
        finally:
            if not reply.over and not task.done():
                task.cancel()  # the client is gone, and with it the work
                await asyncio.wait([task])

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Where the client waited, it was told; else somebody should know.
            _log.debug("an answer ended with: %s", error)

    async def _run(self, call: Call, form: Any, reply: Reply, caller: Caller) -> None:
        node = self._host.get_node()
        options = call.options
        if call.stays_local:
            options = {**options, "peer": (await node.status()).peer_id}
        with self.limits.hold(caller, call.spend_uruv) as hold:
            send = _send_pieces if call.stream else _send_whole
            try:
                async with closing_items(node.stream(call.messages, **options)) as items:
                    answer = await send(items, form, reply, call, hold)
            except AnswerInterrupted:
                raise  # what had come may have to be paid: what was set aside counts as spent
            except NoPeerServes as error:
                hold.settle(0)
                await self._explain_missing(node, call, error)
                raise
            except MeshError:
                hold.settle(0)
                raise
            if answer is not None:
                hold.settle(get_cost_uruv(answer))

    async def _explain_missing(self, node: MeshNode, call: Call, error: NoPeerServes) -> None:
        """Tell a model that nobody has from one whose servers are busy or gone."""
        if call.model == AUTO or call.options["peer"] is not None or call.stays_local:
            return
        known = {model.id for peer in await node.peers() for model in peer.models}
        engine = (await node.status()).engine
        if engine is not None:
            known.update(model.id for model in engine.models)
        if call.model not in known:
            raise UnknownModel(
                f"the model '{call.model[:100]}' does not exist here",
                param="model",
                hint="GET /v1/models lists what there is; 'auto' takes any",
            ) from error


async def _send_pieces(
    items: Any, form: StreamForm, reply: Reply, call: Call, hold: Hold
) -> Answer | None:
    """Reply piece by piece; None where that ended with an error that the client was told."""
    answer: Answer | None = None
    ending = None if call.awaits_record else Ending()
    try:
        async for item in items:
            if isinstance(item, Delta):
                data = form.take(item.chunk)
                if data:
                    await reply.send(data)
                if ending is not None and ending.note(item.chunk):
                    await _end(form, reply, ending.make_answer())
                    hold.release()
                    ending = None
            elif isinstance(item, Finished):
                answer = item.answer
            else:
                if ending is not None:
                    ending.start(item)
                reply.add_headers(make_headers(item))
                data = form.start(item)
                if data:
                    await reply.send(data)
    except MeshError as error:
        if reply.over or not reply.begun:
            raise
        await reply.fail(form.fail(error))
        await reply.end()
        return None
    assert answer is not None, "a stream ends with `Finished` or an error"
    await _end(form, reply, answer)
    return answer


async def _end(form: StreamForm, reply: Reply, answer: Answer | None) -> None:
    """Say the last words, unless they were said."""
    if answer is not None and not reply.over:
        await reply.send(form.finish(answer))
        await reply.end()


async def _send_whole(items: Any, form: WholeForm, reply: Reply, call: Call, hold: Hold) -> Answer:
    """Reply once the answer is whole."""
    answer: Answer | None = None
    ending = None if call.awaits_record else Ending()
    async for item in items:
        if isinstance(item, Delta):
            form.take(item.chunk)
            if ending is not None and ending.note(item.chunk):
                _finish(form, reply, ending.make_answer())
                hold.release()
                ending = None
        elif isinstance(item, Finished):
            answer = item.answer
        elif ending is not None:
            ending.start(item)
    assert answer is not None, "a stream ends with `Finished` or an error"
    _finish(form, reply, answer)
    return answer


def _finish(form: WholeForm, reply: Reply, answer: Answer | None) -> None:
    """Say it all, unless it was said."""
    if answer is not None and not reply.over:
        reply.add_headers({**make_headers(answer), **make_cost_header(answer)})
        reply.finish(encode_json(form.make(answer)))
