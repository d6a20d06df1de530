"""Blobs over HTTP: content up and down in pieces, of any size a blob may have.

    GET    /api/v1/blobs | blobs/{id} | blobs/{id}/content?patience_ms=
    POST   /api/v1/blobs?name=&media_type=&to=&private=&pin=     the content is the body
    POST   /api/v1/blobs/{id}/fetch | blobs/{id}/share | blobs/{id}/pin
    DELETE /api/v1/blobs/{id}?force=

Content that is not here is fetched from members first. What is given to some members only is given
to the node's owner here, and to keys that may do what the owner may.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from meshnode.blob_views import BlobInfo, BlobProgress, BlobRemoved, BlobShelf
from meshnode.errors import MeshError
from meshnode.gateway.access import get_caller
from meshnode.gateway.blob_port import PATIENCE_MS
from meshnode.gateway.bodies import Body
from meshnode.gateway.endpoints import Endpoint, Plain, Streamed, get, post
from meshnode.gateway.problems import make_problem
from meshnode.gateway.refusals import ForbiddenScope, InvalidRequest
from meshnode.gateway.streaming import begin_stream, closing_items
from meshnode.views import VertexInfo

if TYPE_CHECKING:
    from meshnode.gateway.blob_port import BlobPort
    from meshnode.gateway.port import NodeHost

CONTENT_TYPE: Final = "application/octet-stream"
STEPS_TYPE: Final = "application/x-ndjson"
PIECE_BYTES: Final = 256 * 1024
_NO_ROOM: Final = 507
_TOO_LATE: Final = 504

_Text = Annotated[str, msgspec.Meta(max_length=256)]
_Flag = Literal["true", "false"]
_Patience = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]


class PutQuery(Body, frozen=True):
    """What is known of content that is put."""

    name: _Text = ""
    media_type: _Text = ""
    to: Annotated[str, msgspec.Meta(max_length=8_192)] = ""
    """Members it is given to, with commas between; every member where left out."""
    private: _Flag = "false"
    """Whether it is given to nobody."""
    pin: _Flag = "true"

    def get_readers(self) -> list[str] | None:
        """Who may have it; None for every member."""
        named = [each.strip() for each in self.to.split(",") if each.strip()]
        if self.private == "true" and named:
            raise InvalidRequest("a private blob is given to nobody: leave out 'to' or 'private'")
        return named if named or self.private == "true" else None


class ContentQuery(Body, frozen=True):
    """How long to wait for something new, where it has to be fetched."""

    patience_ms: _Patience = PATIENCE_MS


class RemoveQuery(Body, frozen=True):
    """Whether what is pinned or named by own vertices goes, too."""

    force: _Flag = "false"


class FetchBody(Body, frozen=True):
    """How long to wait for something new."""

    patience_ms: _Patience = PATIENCE_MS


class PinBody(Body, frozen=True):
    """Whether it is to stay."""

    pinned: bool = True


class ShareBody(Body, frozen=True):
    """The note that names a blob."""

    title: _Text = ""
    media_type: _Text = ""
    knowledge: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=6)] = ()


class BlobsApi:
    """The handlers of blobs."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        one = "/api/v1/blobs/{id}"
        content = Plain(CONTENT_TYPE, {"type": "string", "format": "binary"})
        fetching = (_TOO_LATE, _NO_ROOM)
        endpoints = [
            get("/api/v1/blobs", "What the node holds.", self._list, BlobShelf),
            post(
                "/api/v1/blobs",
                "Keep content, and give it to members who ask for its id.",
                self._put,
                BlobInfo,
                takes=PutQuery,
                upload=CONTENT_TYPE,
                refuses=(_NO_ROOM,),
            ),
            get(one, "One that the node holds, by its id or its beginning.", self._show, BlobInfo),
            get(
                f"{one}/content",
                "The content, fetched from members where it is not here.",
                self._content,
                content,
                takes=ContentQuery,
                refuses=fetching,
            ),
            post(
                f"{one}/fetch",
                "Have it here; one JSON object per line tells how far it is, the last holds it.",
                self._fetch,
                Streamed(STEPS_TYPE, (BlobProgress,)),
                takes=FetchBody,
                refuses=fetching,
            ),
            post(
                f"{one}/share",
                "Say to the mesh that there is this blob, in a note that names it.",
                self._share,
                VertexInfo,
                takes=ShareBody,
            ),
            post(
                f"{one}/pin",
                "Keep it whatever happens, or no longer.",
                self._pin,
                BlobInfo,
                takes=PinBody,
            ),
            Endpoint(
                method="DELETE",
                path=one,
                summary="Forget it.",
                handler=self._remove,
                takes=RemoveQuery,
                gives=(BlobRemoved,),
            ),
        ]
        return [replace(endpoint, tag="blobs") for endpoint in endpoints]

    def _get(self) -> BlobPort:
        return self._host.get_node().blobs

    async def _list(self, _: web.Request, __: None) -> BlobShelf:
        return await self._get().list()

    async def _put(self, request: web.Request, query: PutQuery) -> BlobInfo:
        size_bytes = request.content_length
        if size_bytes is None:
            raise InvalidRequest("how long the content is must be said first: Content-Length")
        return await self._get().receive(
            request.content.iter_chunked(PIECE_BYTES),
            size_bytes=size_bytes,
            name=query.name,
            media_type=query.media_type,
            readers=query.get_readers(),
            pin=query.pin == "true",
        )

    async def _show(self, request: web.Request, _: None) -> BlobInfo:
        return await self._get().show(request.match_info["id"])

    async def _content(self, request: web.Request, query: ContentQuery) -> web.StreamResponse:
        blobs, blob_id = self._get(), request.match_info["id"]
        async with closing_items(blobs.open(blob_id, patience_ms=query.patience_ms)) as pieces:
            # The first comes before the status, so what cannot be had has one of its own.
            first = await anext(pieces)
            info = await blobs.show(blob_id)
            if info.readers is not None and not get_caller(request).may("admin"):
                raise ForbiddenScope(
                    "this blob is given to some members only, and this key is not its owner's",
                    hint="use the owner's token",
                )
            response = await begin_stream(request, CONTENT_TYPE)
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
        await response.write_eof()
        return response

    async def _fetch(self, request: web.Request, body: FetchBody) -> web.StreamResponse:
        blobs, blob_id = self._get(), request.match_info["id"]
        async with closing_items(blobs.follow(blob_id, patience_ms=body.patience_ms)) as steps:
            first = await anext(steps)
            response = await begin_stream(request, STEPS_TYPE)
            await response.write(_encode_line(first.to_json()))
            try:
                async for step in steps:
                    await response.write(_encode_line(step.to_json()))
            except MeshError as error:
                await response.write(_encode_line({"type": "error", **make_problem(error)}))
        await response.write_eof()
        return response

    async def _share(self, request: web.Request, body: ShareBody) -> VertexInfo:
        return await self._get().share(
            request.match_info["id"],
            title=body.title,
            media_type=body.media_type,
            knowledge=body.knowledge,
        )

    async def _pin(self, request: web.Request, body: PinBody) -> BlobInfo:
        return await self._get().pin(request.match_info["id"], pinned=body.pinned)

    async def _remove(self, request: web.Request, query: RemoveQuery) -> BlobRemoved:
        removed = await self._get().remove(request.match_info["id"], force=query.force == "true")
        return BlobRemoved(id=removed)


def _encode_line(data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(data) + b"\n"
