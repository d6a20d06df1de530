"""A stand-in for the Hugging Face hub and the store it sends to, with faults on demand."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.kimi_provider import serve_in_thread


@dataclass
class FileHub:
    """One file, and how it is served."""

    data: bytes
    told_sha256: str | None = None
    """What the hub says; None for the truth, '' for nothing."""
    etag: str = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers breaks off."""
    status: int = 200
    head_status: int = 200
    loops: bool = False
    tells_size: bool = True
    extra: bytes = b""
    """What is sent beyond what was said."""
    received: int = 0
    """How many bytes of the file the test knows to have arrived."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    async def resolve(self, request: web.Request) -> web.Response:
        """The hub: it describes the file and sends to where it is."""
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
        if self.status != 200:
            return web.Response(status=self.status)
        digest = self.told_sha256
        if digest is None:
            digest = hashlib.sha256(self.data).hexdigest()
        headers = {"Location": request.path if self.loops else "/store/blob"}
        headers |= {"X-Linked-Etag": f'"{digest}"'} if digest else {}
        headers |= {"X-Linked-Size": str(len(self.data))} if self.tells_size else {}
        return web.Response(status=302, headers=headers)

    async def store(self, request: web.Request) -> web.StreamResponse:
        """The store: plain HTTP with ranges."""
        wanted = request.headers.get("Range", "")
        self.asked.append((request.method, request.path, wanted))
        if request.method == "HEAD" and self.head_status != 200:
            return web.Response(status=self.head_status)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        fresh = request.headers.get("If-Range", self.etag) == self.etag
        start = start if self.ranges and fresh else 0
        body = self.data[start:] + self.extra
        headers = {"ETag": self.etag}
        if self.tells_size or request.method == "GET":
            headers["Content-Length"] = str(len(body))
        if start:
            last = len(self.data) - 1
            headers["Content-Range"] = f"bytes {start}-{last}/{len(self.data)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if self.cut_after:
            cut = self.cut_after.pop(0)
            await response.write(body[:cut])
            # What is under way would be lost with the line. The test counts in another thread.
            while self.received < start + cut:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(body)
        return response


@contextmanager
def file_hub(data: bytes, **options: Any) -> Iterator[FileHub]:
    """A running stand-in."""
    hub = FileHub(data, **options)
    app = web.Application()
    app.router.add_route("*", "/store/{name}", hub.store)
    app.router.add_route("*", "/{path:.*}", hub.resolve)
    with serve_in_thread(app) as address:
        hub.url = address
        yield hub
