"""Both sides of a visit: keeping records and handing them out, bringing one's own and asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from dag.canonical import encode
from meshnode.core.record_book import BOOK_MAX, PAGE_MAX
from meshnode.discovery.wire import (
    Page,
    Probe,
    Probed,
    Visit,
    page_decoder,
    probed_decoder,
    question_decoder,
)
from meshnode.errors import InvalidMessage, MalformedMessage, StreamReset, TransportError

if TYPE_CHECKING:
    from meshnode.core.record_book import RecordBook
    from meshnode.transport.base import FrameStream

SERVED_AT_ONCE_MAX: Final = 16
OF_ONE_PEER_MAX: Final = 2
"""A visit and a probe."""
PAGES_MAX: Final = BOOK_MAX // PAGE_MAX + 2
VISIT_MS: Final = 15_000
"""A whole visit takes no longer, on either side."""
PROBE_AGAIN_MS: Final = 10_000
"""One peer has this node dial back no more often."""
PROBED_MAX: Final = 256


class ProbeBack(Protocol):
    """Dials a peer afresh."""

    async def __call__(self, peer: str, port: int) -> tuple[str, str]:
        """Where the peer is seen, and why it cannot be reached there; empty where it can."""


class PeersDesk:
    """Answers members that ask where members are."""

    def __init__(
        self,
        book: RecordBook,
        *,
        serves: bool,
        read_own: Callable[[], bytes],
        probe: ProbeBack | None,
        now_ms: Callable[[], int],
    ) -> None:
        """`read_own` gives this node's own record; without `probe` nobody is dialled back."""
        self._book = book
        self._serves = serves
        self._read_own = read_own
        self._probe = probe
        self._now_ms = now_ms
        self._serving: dict[str, int] = {}
        self._probed: dict[str, int] = {}
        self.served = 0
        """Visits answered so far."""

    async def serve(self, stream: FrameStream) -> None:
        """Answer one stream of a member. Raises `InvalidMessage` for what no member sends."""
        count = self._serving.get(stream.peer, 0)
        if count >= OF_ONE_PEER_MAX or sum(self._serving.values()) >= SERVED_AT_ONCE_MAX:
            raise StreamReset("too many ask about peers at once")
        self._serving[stream.peer] = count + 1
        try:
            async with asyncio.timeout(VISIT_MS / 1000):
                await self._answer_all(stream)
        finally:
            count = self._serving.pop(stream.peer) - 1
            if count:
                self._serving[stream.peer] = count

    async def _answer_all(self, stream: FrameStream) -> None:
        for _ in range(PAGES_MAX):
            frame = await stream.receive()
            if frame is None:
                await stream.finish()
                return
            question = question_decoder.decode(frame)
            if isinstance(question, Visit):
                answer: Page | Probed = self._answer_visit(question)
            else:
                answer = await self._answer_probe(stream.peer, question)
            await stream.send(encode(answer))
        raise MalformedMessage("more pages were asked for than there can be")

    def _answer_visit(self, visit: Visit) -> Page:
        now_ms = self._now_ms()
        if not visit.mark:
            self._book.expire(now_ms)
        verdict = ""
        if visit.record:
            self.served += 1
            verdict = self._book.admit(now_ms, visit.record)[0].value
        if not self._serves:
            return Page(False, verdict, (self._read_own(),), b"")
        if visit.keys:
            found = self._book.select(visit.keys)
            return Page(True, verdict, tuple(found), b"")
        records, mark = self._book.page(visit.mark)
        return Page(True, verdict, tuple(records), mark)

    async def _answer_probe(self, peer: str, probe: Probe) -> Probed:
        now_ms = self._now_ms()
        if self._probe is None:
            return Probed(False, "", "?, this peer does not dial back", now_ms)
        if now_ms - self._probed.get(peer, -PROBE_AGAIN_MS) < PROBE_AGAIN_MS:
            return Probed(False, "", "?, asked too often", now_ms)
        self._probed.pop(peer, None)
        self._probed[peer] = now_ms
        while len(self._probed) > PROBED_MAX:
            del self._probed[next(iter(self._probed))]
        host, reason = await self._probe(peer, probe.port)
        return Probed(not reason, host[:256], reason[:256], self._now_ms())


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit brought."""

    serves: bool
    verdict: str
    records: int


async def visit(
    stream: FrameStream,
    own: bytes,
    on_record: Callable[[bytes], None],
    *,
    keys: Sequence[bytes] = (),
) -> Visited:
    """Bring the own record, and take all records there are, or those of some peers.

    `on_record` judges each; it may raise `InvalidMessage`, which ends the visit: a rendezvous point
    has checked what it hands out. Raises `StreamReset` and `TimeoutError`, too.
    """
    verdict, mark, count = "", b"", 0
    async with asyncio.timeout(VISIT_MS / 1000):
        for number in range(PAGES_MAX):
            await stream.send(encode(Visit(b"" if number else own, tuple(keys), mark)))
            page = page_decoder.decode(await _receive(stream))
            verdict = verdict or page.verdict
            for wire in page.records:
                on_record(wire)
            count += len(page.records)
            if not page.mark or not page.serves:
                await stream.finish()
                return Visited(page.serves, verdict, count)
            if page.mark <= mark:
                raise MalformedMessage("a page of peers begins before the one before it")
            mark = page.mark
    raise MalformedMessage("the pages of peers do not end")


async def ask_to_be_dialled(stream: FrameStream, port: int) -> Probed:
    """Have the peer dial this node afresh. Raises `InvalidMessage`, `StreamReset`, `TimeoutError`."""
    async with asyncio.timeout(VISIT_MS / 1000):
        await stream.send(encode(Probe(port)))
        probed = probed_decoder.decode(await _receive(stream))
        await stream.finish()
        return probed


async def _receive(stream: FrameStream) -> bytes:
    frame = await stream.receive()
    if frame is None:
        raise StreamReset(f"{stream.peer} says nothing of peers")
    return frame


def describe_failure(error: InvalidMessage | TransportError | TimeoutError) -> str:
    """Why a visit came to nothing, in a few words."""
    return str(error) or "no answer in time"
