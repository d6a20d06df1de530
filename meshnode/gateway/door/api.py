"""The paths of `/v1`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from meshnode.gateway.access import get_caller
from meshnode.gateway.door.calls import decode_object, read_chat
from meshnode.gateway.door.chat import ChatStream, ChatWhole
from meshnode.gateway.door.completions import (
    CompletionStream,
    CompletionWhole,
    read_completion,
    read_prompt,
)
from meshnode.gateway.door.frames import encode_json
from meshnode.gateway.door.models import find_model, list_models
from meshnode.gateway.door.replies import JSON_TYPE
from meshnode.gateway.door.responses import ResponseStream, ResponseWhole
from meshnode.gateway.door.responses_reading import read_response_call, read_store
from meshnode.gateway.door.responses_store import Kept, ResponseStore
from meshnode.gateway.door.schemas import (
    CHAT_BODY,
    COMPLETION_BODY,
    EMBEDDINGS_BODY,
    RESPONSE_BODY,
)
from meshnode.gateway.door.serving import Door
from meshnode.gateway.endpoints import Endpoint, Plain, get, post
from meshnode.gateway.refusals import InvalidRequest
from meshnode.gateway.streaming import EVENTS_TYPE

if TYPE_CHECKING:
    from meshnode.gateway.limits import Limits
    from meshnode.gateway.port import NodeHost

_OBJECT: Final = Plain(JSON_TYPE, {"type": "object"})
_EVENTS: Final = Plain(EVENTS_TYPE, {"type": "string"})
_ASKING: Final = (402, 404, 413, 422, 429, 502, 503, 504)


class OpenAIApi:
    """The handlers of `/v1`."""

    def __init__(self, host: NodeHost, limits: Limits) -> None:
        self._door = Door(host, limits)
        self._responses = ResponseStore()

    async def close(self) -> None:
        """End what goes on without its client."""
        await self._door.close()

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        asking = {"refuses": _ASKING}
        one = "/v1/responses/{id}"
        endpoints = [
            post(
                "/v1/chat/completions",
                "Answer a conversation.",
                self._chat,
                _OBJECT,
                _EVENTS,
                takes=CHAT_BODY,
                **asking,
            ),
            post(
                "/v1/completions",
                "Answer a prompt with text.",
                self._complete,
                _OBJECT,
                _EVENTS,
                takes=COMPLETION_BODY,
                **asking,
            ),
            post(
                "/v1/responses",
                "Answer a conversation; it can be gone on from.",
                self._respond,
                _OBJECT,
                _EVENTS,
                takes=RESPONSE_BODY,
                **asking,
            ),
            get(one, "A response that was made here lately.", self._show_response, _OBJECT),
            get(f"{one}/input_items", "What it was asked.", self._show_input, _OBJECT),
            Endpoint(
                method="DELETE",
                path=one,
                summary="Forget a response.",
                handler=self._delete_response,
                gives=(_OBJECT,),
            ),
            post(
                "/v1/embeddings",
                "Texts as vectors, of this node's own engine.",
                self._embed,
                _OBJECT,
                takes=EMBEDDINGS_BODY,
                **asking,
            ),
            get("/v1/models", "What can be asked for.", self._list_models, _OBJECT),
            # A slash in a model's id comes encoded.
            get("/v1/models/{id}", "One model.", self._show_model, _OBJECT),
        ]
        return [replace(endpoint, tag="openai") for endpoint in endpoints]

    async def _chat(self, request: web.Request, _: None) -> web.StreamResponse:
        body = await request.read()
        call = read_chat(decode_object(body))
        form = ChatStream(call) if call.stream else ChatWhole()
        return await self._door.answer(request, body, call, form)

    async def _complete(self, request: web.Request, _: None) -> web.StreamResponse:
        body = await request.read()
        asked = decode_object(body)
        call = read_completion(asked)
        preface = read_prompt(asked) if asked.get("echo") is True else ""
        form = (
            CompletionStream(call, preface=preface)
            if call.stream
            else CompletionWhole(preface=preface)
        )
        return await self._door.answer(request, body, call, form)

    async def _respond(self, request: web.Request, _: None) -> web.StreamResponse:
        body = await request.read()
        asked = decode_object(body)
        owner = get_caller(request).id
        history = self._find_history(asked, owner)
        call, added = read_response_call(asked, history)

        def keep(response: dict[str, Any], message: dict[str, Any]) -> None:
            if not read_store(asked):
                return
            kept = Kept(
                owner=owner,
                response=response,
                messages=(*history, *added, message),
                added=tuple(added),
                size_bytes=len(body) + len(encode_json(message)),
                made_s=self._responses.read_clock_s(),
            )
            self._responses.keep(kept)

        read_store(asked)
        form = ResponseStream(asked, keep) if call.stream else ResponseWhole(asked, keep)
        return await self._door.answer(request, body, call, form)

    def _find_history(self, asked: dict[str, Any], owner: str) -> list[dict[str, Any]]:
        previous = asked.get("previous_response_id")
        if previous is None:
            return []
        if not isinstance(previous, str):
            raise InvalidRequest(
                "'previous_response_id' is not a text", param="previous_response_id"
            )
        return list(self._responses.find(previous, owner).messages)

    async def _show_response(self, request: web.Request, _: None) -> web.Response:
        kept = self._responses.find(request.match_info["id"], get_caller(request).id)
        return _answer(kept.response)

    async def _show_input(self, request: web.Request, _: None) -> web.Response:
        kept = self._responses.find(request.match_info["id"], get_caller(request).id)
        items = [{"type": "message", **message} for message in kept.added]
        return _answer({"object": "list", "data": items, "has_more": False})

    async def _delete_response(self, request: web.Request, _: None) -> web.Response:
        response_id = request.match_info["id"]
        self._responses.delete(response_id, get_caller(request).id)
        return _answer({"id": response_id, "object": "response", "deleted": True})

    async def _embed(self, request: web.Request, _: None) -> web.Response:
        asked = decode_object(await request.read())
        if not asked.get("input"):
            raise InvalidRequest("'input' is empty", param="input")
        caller = get_caller(request)
        with self._door.limits.hold(caller):
            return _answer(await self._door.get_node().embed(asked))

    async def _list_models(self, _: web.Request, __: None) -> web.Response:
        models = await list_models(self._door.get_node())
        return _answer({"object": "list", "data": models})

    async def _show_model(self, request: web.Request, _: None) -> web.Response:
        return _answer(await find_model(self._door.get_node(), request.match_info["id"]))


def _answer(data: dict[str, Any]) -> web.Response:
    return web.Response(body=encode_json(data), content_type=JSON_TYPE)
