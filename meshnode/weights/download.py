"""Fetching a large file: resumed where it broke off, checked against its digest, whole or not there.

What has arrived is kept as `.NAME.part` with a note of what it is part of. A later call continues
it, if the server still has the same file, and starts over if not. The file gets its name only when
its digest is right.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urljoin

import aiohttp
import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import ConfigError
from meshnode.weights.sources import check_web_address
from meshnode.weights.store import check_size, require_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    OnProgress = Callable[[int, int | None], None]
    """Told how many bytes are there, of how many if that is known."""

REDIRECTS_MAX: Final = 5
ATTEMPTS_MAX: Final = 5
PAUSE_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 20.0
IDLE_TIMEOUT_S: Final = 60.0
_SHA256_CHARS: Final = 64
_NOTE_BYTES_MAX: Final = 8_192
_HASH_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file as its server describes it."""

    url: str
    size_bytes: int | None
    etag: str = ""
    sha256: str = ""
    """As the Hugging Face hub tells it; empty where the server tells none."""


class _PartNote(msgspec.Struct, frozen=True, kw_only=True):
    """What a partial file is part of."""

    reference: str
    etag: str
    size_bytes: int | None


async def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    size_max_bytes: int,
    on_progress: OnProgress,
    pause_s: float = PAUSE_S,
) -> str:
    """Fetch a file to `target` and return its digest. Raises `EngineError`, `CommandRejected`.

    With no `sha256` the digest is what the server tells, and one that tells none is refused.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=IDLE_TIMEOUT_S
    )
    async with aiohttp.ClientSession(
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "meshnode", "Accept-Encoding": "identity"},
    ) as session:
        fetch = _Download(session, url, target, size_max_bytes, on_progress)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await fetch.run(sha256)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                if attempt == ATTEMPTS_MAX or not fetch.moved:
                    raise _lost(url, error) from None
                fetch.moved = False
            await asyncio.sleep(pause_s * attempt)
    raise AssertionError("the last attempt returns or raises")


class _Download:
    """One file on its way."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        target: Path,
        size_max_bytes: int,
        on_progress: OnProgress,
    ) -> None:
        self._session = session
        self._url = url
        self._target = target
        self._part = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self._size_max_bytes = size_max_bytes
        self._on_progress = on_progress
        self.moved = True
        """Whether anything has arrived since the last failure: without, trying again is idle."""

    async def run(self, sha256: str) -> str:
        remote = await self._look()
        expected = sha256 or remote.sha256
        if not expected:
            raise ConfigError(
                f"{_host(self._url)} tells no digest of this file",
                hint="add --sha256 HEX, as its publisher gives it",
            )
        digest, start = await self._resume(remote)
        if remote.size_bytes is not None:
            check_size(
                self._target.parent,
                remote.size_bytes,
                size_max_bytes=self._size_max_bytes,
                present_bytes=start,
            )
        if remote.size_bytes is None or start < remote.size_bytes:
            await self._fetch(remote, digest, start)
        found = digest.hexdigest()
        try:
            require_digest(self._target.name, found, expected)
        except EngineError:
            self._forget()
            raise
        self._part.replace(self._target)
        self._note.unlink(missing_ok=True)
        return found

    async def _look(self) -> RemoteFile:
        """Ask what the file is, following the hub to where it keeps it."""
        url, told = self._url, RemoteFile(url=self._url, size_bytes=None)
        for _ in range(REDIRECTS_MAX + 1):
            async with self._session.head(url, allow_redirects=False) as response:
                told = _merge(told, response, url)
                if response.status in (405, 501):
                    return replace(told, url=url)  # it says so only when it is sent
                if response.status not in (301, 302, 303, 307, 308):
                    _check_status(response.status, self._url)
                    return replace(told, url=url)
                url = urljoin(url, response.headers.get("Location", ""))
            check_web_address(url)
        raise EngineError(
            EngineFault.UNREACHABLE,
            f"{_host(self._url)} sends from one address to the next",
            hint="use the final address",
        )

    async def _resume(self, remote: RemoteFile) -> tuple[hashlib._Hash, int]:
        """The digest and size of what is there of this very file already."""
        note = _PartNote(reference=self._url, etag=remote.etag, size_bytes=remote.size_bytes)
        digest = hashlib.sha256()
        known = remote.etag or remote.size_bytes is not None
        if known and self._read_note() == note and self._part.exists():
            size = await asyncio.to_thread(_hash_into, digest, self._part)
            if remote.size_bytes is None or size <= remote.size_bytes:
                return digest, size
            digest = hashlib.sha256()
        self._part.unlink(missing_ok=True)
        self._note.write_bytes(msgspec.json.encode(note))
        return digest, 0

    def _read_note(self) -> _PartNote | None:
        try:
            with self._note.open("rb") as file:
                return msgspec.json.decode(file.read(_NOTE_BYTES_MAX), type=_PartNote)
        except (OSError, msgspec.DecodeError, ValueError, RecursionError):
            return None

    async def _fetch(self, remote: RemoteFile, digest: hashlib._Hash, start: int) -> None:
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and remote.etag and not remote.etag.startswith("W/"):
            headers["If-Range"] = remote.etag
        async with self._session.get(
            remote.url, headers=headers, allow_redirects=False
        ) as response:
            _check_status(response.status, self._url)
            if start and not _continues(response, start):
                # The server sends all of it, or another file: what was there is worth nothing.
                self._forget()
                self.moved = True
                raise aiohttp.ClientPayloadError("the server does not continue; starting over")
            total = remote.size_bytes
            with self._part.open("ab" if start else "wb") as file:
                await self._write(response.content.iter_any(), file, digest, start)
        if total is not None and self._part.stat().st_size != total:
            raise aiohttp.ClientPayloadError("the connection ended before the file did")

    async def _write(
        self, pieces: AsyncIterator[bytes], file: BinaryIO, digest: hashlib._Hash, size: int
    ) -> None:
        note = self._read_note()
        total = note.size_bytes if note else None
        async for piece in pieces:
            size += len(piece)
            if size > self._size_max_bytes or (total is not None and size > total):
                self._forget()
                raise EngineError(
                    EngineFault.MALFORMED,
                    f"{_host(self._url)} sends more than it said, or more than is allowed",
                    hint="allow more with --max-size, if you trust it",
                )
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
            self.moved = True
            self._on_progress(size, total)
        await asyncio.to_thread(_sync, file)

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _merge(told: RemoteFile, response: aiohttp.ClientResponse, url: str) -> RemoteFile:
    """What one answer adds: the hub describes the file itself while it sends elsewhere."""
    linked = response.headers.get("X-Linked-Etag", "").strip('"').lower()
    size = response.headers.get("X-Linked-Size", "")
    if not size and response.status == 200:
        size = response.headers.get("Content-Length", "")
    return RemoteFile(
        url=url,
        size_bytes=told.size_bytes
        if told.size_bytes is not None or not size.isdecimal()
        else int(size),
        etag=response.headers.get("ETag", "") if response.status == 200 else told.etag,
        sha256=told.sha256 or (linked if len(linked) == _SHA256_CHARS else ""),
    )


def _continues(response: aiohttp.ClientResponse, start: int) -> bool:
    given = response.headers.get("Content-Range", "")
    return response.status == 206 and given.startswith(f"bytes {start}-")


def _check_status(status: int, url: str) -> None:
    if status in (200, 206):
        return
    if status in (401, 403):
        message, hint = "does not let this file be fetched without an account", "choose another"
    elif status == 404:
        message, hint = "has no such file", "check owner, name, revision and file"
    else:
        message, hint = f"answered {status}", "try again later"
    fault = EngineFault.MODEL_NOT_FOUND if status < 500 else EngineFault.OVERLOADED
    raise EngineError(fault, f"{_host(url)} {message}", hint=hint)


def _lost(url: str, error: Exception) -> EngineError:
    reason = str(error) or type(error).__name__
    return EngineError(
        EngineFault.UNREACHABLE,
        f"the file could not be fetched from {_host(url)}: {reason[:200]}",
        hint="run the same command again: it goes on where it stopped",
    )


def _host(url: str) -> str:
    with suppress(IndexError):
        return url.split("/")[2]
    return url


def _hash_into(digest: hashlib._Hash, path: Path) -> int:
    size = 0
    with path.open("rb") as file:
        while data := file.read(_HASH_BYTES):
            digest.update(data)
            size += len(data)
    return size


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
