"""Idempotency-Key: a question that is sent again is answered from memory, so it is billed once.

Such a question does not end with its client: who lost the connection sends it again and gets the
same answer, from its beginning. What failed is forgotten, so that it can be tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError, EngineFault
from meshnode.gateway.refusals import InvalidRequest, ReusedKey, TooManyRequests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp import web

    from meshnode.gateway.door.replies import HttpReply, Reply

    Run = Callable[[Reply], Awaitable[None]]

HEADER: Final = "Idempotency-Key"
KEY_CHARS_MAX: Final = 255
ENTRIES_MAX: Final = 1_000
BYTES_MAX: Final = 64 * 2**20
"""Of all answers that are kept."""
ANSWER_BYTES_MAX: Final = 16 * 2**20
AGE_S: Final = 3_600.0
REPLAYED: Final = {"idempotent-replayed": "true"}

Key = tuple[str, str, str]
"""Client, path, and the key that came with the request."""


def read_retry_key(request: web.Request) -> str | None:
    """The key of a request. Raises `InvalidRequest`."""
    key = request.headers.get(HEADER)
    if key is not None and not 0 < len(key) <= KEY_CHARS_MAX:
        raise InvalidRequest(f"{HEADER} has 1 to {KEY_CHARS_MAX} characters")
    return key


class _Kept:
    """An answer as it comes, for whoever reads it, once or again. It is itself a `Reply`."""

    def __init__(self, digest: bytes, now_s: float) -> None:
        self.digest = digest
        self.started_s = now_s
        self.size_bytes = 0
        self.task: asyncio.Task[None] | None = None
        self.over = False
        """Whether no more comes."""
        self._failed = False
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._whole: bytes | None = None
        self._error: BaseException | None = None
        self._news = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether a piece was sent."""
        return bool(self._pieces)

    @property
    def failed(self) -> bool:
        """Whether it came to no good end."""
        return self._failed or self._error is not None

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Headers that are known now."""
        self._headers.update(headers)

    async def send(self, data: bytes) -> None:
        """One or more whole events."""
        self._grow(len(data))
        self._pieces.append(data)
        self._tell()

    async def fail(self, data: bytes) -> None:
        """The last event, which says what went wrong."""
        self._failed = True
        self._pieces.append(data)
        self._tell()

    async def end(self) -> None:
        """No more events follow."""
        self.over = True
        self._tell()

    def finish(self, body: bytes) -> None:
        """The whole answer at once."""
        self._grow(len(body))
        self._whole = body
        self.over = True
        self._tell()

    async def run(self, run: Run) -> None:
        """Let the answer come, whoever waits for it."""
        try:
            await run(self)
        # Whatever went wrong must reach who waits; it is raised again there.
        except Exception as error:  # noqa: BLE001
            if not self.over:
                self._error = error
        finally:
            self.over = True
            self._tell()

    async def replay(self, reply: HttpReply) -> None:
        """Give it all to a client, from the beginning."""
        position = 0
        while True:
            news = self._news
            if position < len(self._pieces) and not position:
                reply.add_headers(self._headers)
            while position < len(self._pieces):
                await reply.send(self._pieces[position])
                position += 1
            if self.over:
                break
            if news is self._news:
                await news.wait()
        if self._error is not None:
            raise self._error
        if self._whole is None:
            await reply.end()
            return
        reply.add_headers(self._headers)
        reply.finish(self._whole)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _grow(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if self.size_bytes > ANSWER_BYTES_MAX:
            raise EngineError(
                EngineFault.MALFORMED,
                f"the answer has more than {ANSWER_BYTES_MAX} bytes, too many to be kept",
                hint=f"send it without {HEADER}",
            )


class Memory:
    """Answers by the key that they were asked for with; bounded in count, size and age."""

    def __init__(self, *, read_clock_s: Callable[[], float] = time.monotonic) -> None:
        self._read_clock_s = read_clock_s
        self._kept: dict[Key, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def answer(self, key: Key, body: bytes, reply: HttpReply, run: Run) -> None:
        """Reply with the answer of this key, which `run` gives the first time.

        Raises `ReusedKey` for another body, and whatever `run` raises.
        """
        self._forget_old()
        digest = hashlib.sha256(body).digest()
        kept = self._kept.get(key)
        if kept is None or (kept.over and kept.failed):
            kept = self._start(key, digest, run)
        elif kept.digest != digest:
            raise ReusedKey(f"this {HEADER} came with another body before", hint="use a key once")
        else:
            reply.add_headers(REPLAYED)
        await kept.replay(reply)

    async def close(self) -> None:
        """End every answer under way."""
        tasks = [kept.task for kept in self._kept.values() if kept.task is not None]
        self._kept.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, key: Key, digest: bytes, run: Run) -> _Kept:
        self._make_room()
        kept = self._kept[key] = _Kept(digest, self._read_clock_s())
        kept.task = asyncio.create_task(kept.run(run), name="kept answer")
        kept.task.add_done_callback(lambda _: self._forget_failed(key, kept))
        return kept

    def _forget_failed(self, key: Key, kept: _Kept) -> None:
        if kept.failed and self._kept.get(key) is kept:
            del self._kept[key]

    def _forget_old(self) -> None:
        limit_s = self._read_clock_s() - AGE_S
        old = [key for key, kept in self._kept.items() if kept.over and kept.started_s < limit_s]
        for key in old:
            del self._kept[key]

    def _make_room(self) -> None:
        size_bytes = sum(kept.size_bytes for kept in self._kept.values())
        for key, kept in list(self._kept.items()):
            if len(self._kept) < ENTRIES_MAX and size_bytes < BYTES_MAX:
                return
            if kept.over:
                del self._kept[key]
                size_bytes -= kept.size_bytes
        if len(self._kept) >= ENTRIES_MAX:
            raise TooManyRequests(
                f"{ENTRIES_MAX} questions with {HEADER} are under way", retry_after_s=1
            )
