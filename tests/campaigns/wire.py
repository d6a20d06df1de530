"""The hostile end of a connection: authenticated by libp2p, and from there on free to do anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import trio
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from dag.crypto import sign_suite
from meshnode.core.messages import (
    Credentials,
    Hello,
    Message,
    Proof,
    compute_proof_message,
    encode_message,
)
from meshnode.transport.base import Channel
from meshnode.transport.framing import FrameKind, FrameParser, data_header
from meshnode.transport.libp2p.connection import STREAM_PROTOCOL
from meshnode.transport.libp2p.host import propose
from meshnode.transport.peer_id import peer_id_from_public_key
from tests.campaigns.world import Member, World
from tests.support.libp2p_attacker import attacker, channels
from tests.support.transports import seed_of

STEP_S: Final = 15.0
"""For what the node owes at once; generous, because the machine is busy."""

_decoder: Final[msgspec.msgpack.Decoder[Any]] = msgspec.msgpack.Decoder(Message)


class CutOff(Exception):
    """The node has ended the connection."""


def frame(payload: bytes) -> bytes:
    """A DATA frame, whatever it holds."""
    return data_header(payload) + payload


@dataclass
class Line:
    """A connection whose channels stand."""

    world: World
    name: str
    muxer: Yamux
    channels: dict[Channel, YamuxStream]
    sent: int = 0
    _parser: FrameParser = field(default_factory=FrameParser)
    _arrived: list[bytes] = field(default_factory=list)

    @property
    def peer(self) -> str:
        """The attacker's transport id."""
        from nacl.signing import SigningKey

        return peer_id_from_public_key(SigningKey(seed_of(self.name)).verify_key.encode())

    async def write(
        self, data: bytes, channel: Channel = Channel.CONTROL, *, frames: int = 1
    ) -> None:
        """Raw bytes on a channel. Raises `CutOff`."""
        try:
            with trio.fail_after(STEP_S):
                await self.channels[channel].write(data)
        except trio.TooSlowError:
            raise
        except Exception as error:
            raise CutOff from error
        self.sent += frames

    async def send(self, *messages: Message, channel: Channel = Channel.CONTROL) -> None:
        """Well-formed messages."""
        data = b"".join(frame(encode_message(message)) for message in messages)
        await self.write(data, channel, frames=len(messages))

    async def receive(self) -> Any:
        """The node's next message on the control channel. Raises `CutOff`."""
        while not self._arrived:
            await self._read()
        return _decoder.decode(self._arrived.pop(0))

    async def _read(self) -> None:
        try:
            data = await self.channels[Channel.CONTROL].read(65_536)
        except Exception as error:
            raise CutOff from error
        for kind, payload in self._parser.feed(data):
            if kind is FrameKind.DATA:
                self._arrived.append(payload)
            elif kind is FrameKind.FINISH:
                raise CutOff
        if not data:
            raise CutOff

    async def wait_cut_off(self) -> None:
        """Until the node has ended the connection, or said that it will."""
        with trio.fail_after(STEP_S):
            try:
                while True:
                    self._arrived.clear()
                    await self._read()
            except CutOff:
                return

    async def open_stream(self) -> YamuxStream:
        """A stream for one question. Raises `CutOff`."""
        try:
            stream = await self.muxer.open_stream()
            await propose(stream, STREAM_PROTOCOL, int(STEP_S * 1_000))
        except Exception as error:
            raise CutOff from error
        self.sent += 1
        return stream

    # --- the handshake -----------------------------------------------------------------------

    async def await_hello(self) -> Hello:
        """The node speaks first."""
        with trio.fail_after(STEP_S):
            hello = await self.receive()
        assert isinstance(hello, Hello)
        return hello

    def hello(self, author: bytes, **changes: Any) -> Hello:
        """Our own."""
        return Hello(**{**self._hello_fields(author), **changes})

    def _hello_fields(self, author: bytes) -> dict[str, Any]:
        return {
            "version": 1,
            "network": self.world.network,
            "author": author,
            "nonce": seed_of(self.name),
            "agent": "mallory",
            "addresses": (),
        }

    def prove(self, member: Member, theirs: Hello) -> Proof:
        """A proof that holds."""
        message = compute_proof_message(
            self.world.network, self.peer, seed_of(self.name), self.world.peer, theirs.nonce
        )
        return Proof(sign_suite(self.world.suite, member.secrets, message))

    async def greet(self, member: Member) -> None:
        """Become ready, as a member. Raises `CutOff`."""
        hello = await self.await_hello()
        credentials = Credentials((*self.world.credentials, member.profile.wire))
        await self.send(self.hello(member.author), credentials, self.prove(member, hello))
        with trio.fail_after(STEP_S):
            while isinstance(await self.receive(), Hello | Credentials | Proof):
                pass
        self.sent -= 3  # nothing of this was hostile


@asynccontextmanager
async def line(world: World, name: str, source: str) -> AsyncIterator[Line]:
    """A connection under the key of `name`, from a loopback address of its own."""
    async with attacker(world.addresses, name, source) as muxer:
        with trio.fail_after(STEP_S):
            standing = await channels(muxer)
        yield Line(world, name, muxer, standing)
