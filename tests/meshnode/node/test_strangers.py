"""Who is no member gets nothing beyond the handshake: every message, channel and kind of stream.

A live node over the real transport, and strangers that say whatever there is to say, each over a
connection of its own. What comes back is read byte by byte.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, get_args

import msgspec
import pytest

from dag.canonical import encode
from meshnode import joining
from meshnode.blobs import protocol as blobs
from meshnode.core.messages import (
    Credentials,
    Goodbye,
    Hello,
    Message,
    Proof,
    encode_message,
)
from meshnode.discovery import wire as discovery
from meshnode.errors import StreamReset, TransportError
from meshnode.serving import protocol as serving
from meshnode.testing import mesh
from meshnode.transport.base import Channel, PeerId
from meshnode.transport.libp2p.transport import Libp2pTransport
from tests.support.dag_builder import make_person

LIMIT_S = 60
AT_ONCE = 6
"""A node takes 8 handshakes of one address at a time."""
HANDSHAKE = (Hello, Credentials, Proof, Goodbye)
_decoder = msgspec.msgpack.Decoder(Message)


def make_sample(kind: Any) -> Any:
    """A record of a type, with the plainest values that it allows."""
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.cls(*[make_value(field.type) for field in info.fields])


def make_value(kind: msgspec.inspect.Type) -> Any:
    match kind:
        case msgspec.inspect.IntType(ge=least):
            return max(1, least or 1)
        case msgspec.inspect.BytesType(min_length=least, max_length=most):
            return bytes(least or min(32, most or 32))
        case msgspec.inspect.StrType():
            return "x"
        case msgspec.inspect.BoolType():
            return False
        case msgspec.inspect.VarTupleType() | msgspec.inspect.TupleType():
            return ()
        case msgspec.inspect.StructType(cls=record):
            return make_sample(record)
        case msgspec.inspect.LiteralType(values=values):
            return values[0]
        case _:
            return None


def list_records(module: Any) -> list[Any]:
    """The tagged records of a module: what may stand at the beginning of a stream."""
    found = [each for each in vars(module).values() if isinstance(each, type)]
    return [
        each
        for each in found
        if issubclass(each, msgspec.Struct)
        and each.__module__ == module.__name__
        and each.__struct_config__.tag is not None
    ]


STREAM_FRAMES = [
    *(record for module in (serving, discovery, blobs, joining) for record in list_records(module))
]


class Stranger:
    """A transport key that nobody knows, and all that it is told."""

    def __init__(self) -> None:
        self.transport = Libp2pTransport(os.urandom(32))
        self.heard: list[Any] = []
        self.ended = asyncio.Event()
        self.greeted = asyncio.Event()

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        """It is reached."""

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        self.ended.set()

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        assert channel is Channel.CONTROL
        self.heard += [_decoder.decode(frame) for frame in frames]
        self.greeted.set()

    async def serve(self, stream: Any) -> None:
        raise AssertionError("a stranger is asked nothing")

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        """The node follows the protocol."""

    async def come(self, node: Any) -> PeerId:
        await self.transport.start(self)
        target = node._runtime.transport
        await self.transport.dial(target.peer_id, target.addresses)
        await self.greeted.wait()
        return PeerId(target.peer_id)

    async def speak(self, node: Any, channel: Channel, frame: bytes, *, greets: bool) -> None:
        """Say something, and wait until the node has enough."""
        try:
            async with asyncio.timeout(LIMIT_S):
                peer = await self.come(node)
                if greets:
                    network = node._runtime.view().network
                    hello = Hello(1, network, make_person(7).author, os.urandom(32), "", ())
                    self.transport.send(peer, Channel.CONTROL, [encode_message(hello)])
                self.transport.send(peer, channel, [frame])
                await self.ended.wait()
        finally:
            await self.transport.close()

    async def ask(self, node: Any, frame: bytes) -> list[bytes]:
        """Open a stream, and answer all that comes back over it."""
        answers: list[bytes] = []
        try:
            async with asyncio.timeout(LIMIT_S):
                stream = await self.transport.open_stream(await self.come(node))
                await stream.send(frame)
                while (answer := await stream.receive()) is not None:
                    answers.append(answer)
        except (StreamReset, TransportError):
            pass  # the node has enough
        finally:
            await self.transport.close()
        return answers


@pytest.fixture
async def node():
    async with mesh(1, engine="echo", suite="ed25519", transport="libp2p") as (node,):
        await node.publish("for members")
        yield node


async def run_all(steps: list[Any]) -> list[Any]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def run(step: Any) -> Any:
        async with turn:
            return await step

    return await asyncio.gather(*map(run, steps))


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("greets", [False, True])
async def test_stranger_is_told_nothing_whatever_it_says(node, channel: Channel, greets: bool):
    kinds = get_args(Message)
    assert len(kinds) > 20
    said = [encode_message(make_sample(kind)) for kind in kinds]
    if channel is Channel.RPC:
        del said[AT_ONCE:]  # nothing listens there, so each stays until its handshake is overdue
    strangers = [Stranger() for _ in said]
    await run_all(
        [
            stranger.speak(node, channel, frame, greets=greets)
            for stranger, frame in zip(strangers, said, strict=True)
        ]
    )
    for stranger in strangers:
        assert all(isinstance(message, HANDSHAKE) for message in stranger.heard)
        profiles = [each for each in stranger.heard if isinstance(each, Credentials)]
        assert not any(message.profiles for message in profiles)
    assert (await node.status()).peers_ready == 0


async def test_stranger_is_answered_on_no_stream(node):
    assert len(STREAM_FRAMES) > 20
    frames = [encode(make_sample(record)) for record in STREAM_FRAMES]
    answers = await run_all([Stranger().ask(node, frame) for frame in (*frames, b"", b"junk")])
    told = [frame for answer in answers for frame in answer]
    # Who asks to be let in without a ticket of this network learns just that.
    assert [msgspec.msgpack.decode(frame)[:2] for frame in told] == [[3, "command_rejected"]]


async def test_stranger_that_knows_the_network_and_no_ticket_is_answered_nothing(node):
    network = node._runtime.view().network
    sample = make_sample(joining.JoinRequest)
    request = msgspec.structs.replace(sample, network=network)
    assert await Stranger().ask(node, encode(request)) == []
