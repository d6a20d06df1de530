"""Agreeing on a protocol takes one round trip, and no packet more than it needs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.stream_muxer.yamux.yamux import HEADER_SIZE, TYPE_DATA, TYPE_WINDOW_UPDATE

from meshnode.transport.libp2p.host import answer, propose
from meshnode.transport.libp2p.muxer import GuardedConnection, new_muxer
from meshnode.transport.limits import TransportLimits

GREETING = b"\x13/multistream/1.0.0\n"


class Pipe:
    """One end of a connection in memory, with the muxer's frames counted by their type."""

    def __init__(self, stream: trio.StapledStream, *, is_initiator: bool) -> None:
        self.is_initiator = is_initiator
        self.frames: Counter[int] = Counter()
        self._stream = stream

    async def read(self, n: int) -> bytes:
        data = b""
        while len(data) < n and (piece := await self._stream.receive_some(n - len(data))):
            data += piece
        return data

    async def write(self, data: bytes) -> None:
        self.frames[data[1]] += 1
        await self._stream.send_all(data)

    def cut(self) -> None:
        pass


class Script:
    """A stream that says what it was given, and then nothing more."""

    def __init__(self, said: bytes) -> None:
        self.said = said
        self.writes: list[bytes] = []

    async def read(self, n: int) -> bytes:
        if not self.said:
            await trio.sleep_forever()
        data, self.said = self.said[:n], self.said[n:]
        return data

    async def write(self, data: bytes) -> None:
        self.writes.append(data)


async def negotiate() -> tuple[Counter[int], Counter[int]]:
    left, right = trio.testing.memory_stream_pair()
    pipes = [Pipe(left, is_initiator=True), Pipe(right, is_initiator=False)]
    muxers = []
    for pipe in pipes:
        end: Any = pipe
        muxers.append(new_muxer(GuardedConnection(end, end, TransportLimits()), "peer"))
    async with trio.open_nursery() as nursery:
        for muxer in muxers:
            nursery.start_soon(muxer.start)
            await muxer.event_started.wait()

        async def accept() -> None:
            stream = await muxers[1].accept_stream()
            assert await answer(stream, ["/a", "/b"], 1_000) == "/b"

        nursery.start_soon(accept)
        await propose(await muxers[0].open_stream(), "/b", 1_000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return pipes[0].frames, pipes[1].frames


def test_a_stream_is_agreed_on_in_few_frames():
    ours, theirs = trio.run(negotiate)
    assert HEADER_SIZE == 12
    assert ours == {TYPE_WINDOW_UPDATE: 1, TYPE_DATA: 1}  # the stream is opened; greeting and wish
    assert theirs == {TYPE_WINDOW_UPDATE: 1, TYPE_DATA: 2}  # it is accepted; greeting, agreement


def test_greeting_and_wish_are_one_write():
    script: Any = Script(GREETING + b"\x03/b\n")
    trio.run(propose, script, "/b", 1_000)
    assert script.writes == [GREETING + b"\x03/b\n"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (GREETING + b"\x03na\n", "/b is not supported"),
        (b"\x03/x\n", "not supported"),
        (GREETING, "within 1000 ms"),
    ],
)
def test_whoever_does_not_agree_is_told_apart(said, reason):
    script: Any = Script(said)
    with pytest.raises(MultiselectClientError, match=reason):
        trio.run(propose, script, "/b", 1_000, clock=trio.testing.MockClock(autojump_threshold=0))
