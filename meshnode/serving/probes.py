"""Asking a peer how it does, without a question: its report, or whether it can reach another one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import MalformedMessage, TransportError
from meshnode.serving.protocol import (
    SERVING_VERSION,
    Failed,
    Probe,
    Reached,
    Report,
    decode_answer_frame,
    encode_frame,
)
from meshnode.serving.sealed_stream import SealRefused
from meshnode.serving.sealing import learn_keys, open_sealed

if TYPE_CHECKING:
    from meshnode.serving.port import MeshPort
    from meshnode.serving.protocol import AnswerFrame

PROBE_MS: Final = 2_000
"""A report is there within this."""
REACH_MS: Final = 1_000
"""A third peer says within this that it is there."""


async def fetch_report(port: MeshPort, peer: str, generation: int) -> Report:
    """A peer's report, with the digests that are new since a generation.

    Raises `TransportError`, `TimeoutError`, `InvalidMessage`, and `EngineError` for a refusal.
    """
    frame = await _probe(port, peer, Probe(SERVING_VERSION, generation), PROBE_MS)
    if isinstance(frame, Failed):
        raise EngineError(EngineFault.UNREACHABLE, frame.message)
    if not isinstance(frame, Report):
        raise MalformedMessage("a probe is answered with REPORT")
    return frame


async def ask_whether_reached(port: MeshPort, peer: str, author: bytes) -> bool:
    """Whether a peer can reach another one. Raises as `fetch_report`."""
    frame = await _probe(port, peer, Probe(SERVING_VERSION, 0, author), PROBE_MS)
    if isinstance(frame, Failed):
        raise EngineError(EngineFault.UNREACHABLE, frame.message)
    if not isinstance(frame, Reached):
        raise MalformedMessage("a probe about another peer is answered with REACHED")
    return frame.reached


async def can_reach(port: MeshPort, author: bytes) -> bool:
    """Whether a peer of this author answers here. Raises `EngineError` where it is not connected."""
    found = next((each for each in port.list_serving_peers() if each.author == author), None)
    if found is None:
        raise EngineError(EngineFault.UNREACHABLE, "this node is not connected to it")
    try:
        await _probe(port, found.peer, Probe(SERVING_VERSION, 0), REACH_MS)
    except (TransportError, TimeoutError):
        return False
    return True


async def _probe(port: MeshPort, peer: str, probe: Probe, timeout_ms: int) -> AnswerFrame:
    async with asyncio.timeout(timeout_ms / 1_000):
        try:
            data = await _exchange(port, peer, encode_frame(probe))
        except SealRefused as refused:
            learn_keys(port, peer, refused)
            data = await _exchange(port, peer, encode_frame(probe))
    if data is None:
        raise MalformedMessage("a probe was not answered")
    return decode_answer_frame(data)


async def _exchange(port: MeshPort, peer: str, frame: bytes) -> bytes | None:
    stream = await open_sealed(port, peer)
    try:
        await stream.send(frame)
        return await stream.receive()
    finally:
        stream.reset()
