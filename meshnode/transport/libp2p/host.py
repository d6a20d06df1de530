"""From a TCP connection to an authenticated, multiplexed one, with libp2p's own layers.

Multistream-select, Noise XX and Yamux come from py-libp2p and speak to any libp2p peer. Its
connection manager (`Swarm`, `BasicHost`) is left out: accepting, dialling, limits and the end of a
connection are this package's. Only Noise and only Yamux are on offer: every other security
protocol of the library either proves no key or is not finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.custom_types import TProtocol
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import IOException
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import (
    MultiselectClientError,
    MultiselectCommunicatorError,
)
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MULTISELECT_PROTOCOL_ID
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL_ID
from libp2p.utils.varint import encode_delim, read_varint_prefixed_bytes_limited

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.hardening import check_library_version
from meshnode.transport.libp2p.muxer import GuardedConnection, new_muxer, stop_updates
from meshnode.transport.peer_id import peer_id_from_public_key, public_key_from_peer_id

if TYPE_CHECKING:
    from libp2p.abc import ISecureConn
    from libp2p.io.abc import ReadWriteCloser

    from meshnode.transport.libp2p.stream_bytes import RelayedConnection
    from meshnode.transport.libp2p.tcp import TcpConnection
    from meshnode.transport.limits import TransportLimits

check_library_version()

SEED_BYTES = 32
NEGOTIATION_MESSAGE_BYTES_MAX = 1_024
"""Longest protocol name a peer may ask for; the library reads any length."""


class NegotiationFailed(TransportError):
    """A handshake did not come to its end; the message says how far it came."""

    code = "negotiation_failed"


class WrongPeer(NegotiationFailed):
    """Somebody answered, and is another than was dialled."""

    code = "wrong_peer"


class BoundedCommunicator(MultiselectCommunicator):
    """Messages of multistream-select with a limit, and text that is not UTF-8 as an error."""

    async def read(self) -> str:
        """The next message without its newline."""
        try:
            data = await read_varint_prefixed_bytes_limited(
                self.read_writer, NEGOTIATION_MESSAGE_BYTES_MAX
            )
            text: str = data.decode("utf-8")
        except (ParseError, IOException, UnicodeDecodeError) as error:
            raise MultiselectCommunicatorError("not a multistream-select message") from error
        if not text.endswith("\n"):
            raise MultiselectCommunicatorError("a multistream-select message without its end")
        return text[:-1]

    async def write_all(self, *texts: str) -> None:
        """Several messages at once."""
        await self.read_writer.write(b"".join(encode_delim(text.encode()) for text in texts))


async def propose(stream: ReadWriteCloser, protocol: str, timeout_ms: int) -> None:
    """Ask the other side to speak this protocol on a stream.

    In one breath with the greeting: there is nothing to choose from, so waiting for the other
    side's greeting first, as the library does, is a round trip for nothing.
    """
    communicator = BoundedCommunicator(stop_updates(stream))
    with trio.move_on_after(_seconds(timeout_ms)):
        await communicator.write_all(MULTISELECT_PROTOCOL_ID, protocol)
        for expected in (MULTISELECT_PROTOCOL_ID, protocol):
            said = await communicator.read()
            if said != expected:
                message = f"{expected} is not supported: the answer is {said[:64]!r}"
                raise MultiselectClientError(message)
        return
    raise MultiselectClientError(f"{protocol} was not agreed on within {timeout_ms} ms")


async def answer(stream: ReadWriteCloser, protocols: Sequence[str], timeout_ms: int) -> str:
    """Let the other side choose one of these protocols."""
    handlers = {TProtocol(protocol): None for protocol in protocols}
    chosen, _ = await Multiselect(handlers).negotiate(
        BoundedCommunicator(stop_updates(stream)), _seconds(timeout_ms)
    )
    return str(chosen)


def _seconds(timeout_ms: int) -> float:
    return timeout_ms / 1000


class Identity:
    """This node's host key and what Noise needs of it."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise AssertionError(f"a host key seed has {SEED_BYTES} bytes, not {len(seed)}")
        key_pair = create_new_key_pair(seed)
        self.peer_id = peer_id_from_public_key(key_pair.public_key.to_bytes())
        self._noise = NoiseTransport(key_pair, create_new_x25519_key_pair().private_key)

    async def secure(
        self,
        connection: TcpConnection | RelayedConnection,
        expected: PeerId | None,
        limits: TransportLimits,
    ) -> tuple[PeerId, GuardedConnection]:
        """Prove the keys of both ends and put the muxer on top.

        Raises `NegotiationFailed`; whatever the hostile bytes on the wire provoke in the
        libraries below becomes that one error.
        """
        try:
            with trio.fail_after(_seconds(limits.handshake_ms)):
                return await self._secure(connection, expected, limits)
        except TransportError:
            raise
        except trio.TooSlowError as error:
            raise NegotiationFailed("the peer did not finish the handshake in time") from error
        except PeerIDMismatchesPubkey as error:
            raise WrongPeer(f"{expected} was expected, another peer answered") from error
        except Exception as error:  # the libraries' errors on hostile input are not enumerable
            raise NegotiationFailed(f"the handshake failed: {type(error).__name__}") from error

    async def _secure(
        self,
        connection: TcpConnection | RelayedConnection,
        expected: PeerId | None,
        limits: TransportLimits,
    ) -> tuple[PeerId, GuardedConnection]:
        secured: ISecureConn
        if expected is not None:
            await propose(connection, NOISE_PROTOCOL_ID, limits.handshake_ms)
            secured = await self._noise.secure_outbound(connection, ID.from_base58(expected))
        else:
            await answer(connection, [NOISE_PROTOCOL_ID], limits.handshake_ms)
            secured = await self._noise.secure_inbound(connection)
        peer = PeerId(secured.get_remote_peer().to_base58())
        public_key_from_peer_id(peer)  # only Ed25519 host keys: id and key determine each other
        if expected not in {None, peer}:
            raise WrongPeer(f"{expected} was expected, {peer} answered")
        if peer == self.peer_id:
            raise NegotiationFailed("a node does not connect to itself")
        if expected is not None:
            await propose(secured, YAMUX_PROTOCOL_ID, limits.handshake_ms)
        else:
            await answer(secured, [YAMUX_PROTOCOL_ID], limits.handshake_ms)
        guard = GuardedConnection(secured, connection, limits)
        new_muxer(guard, secured.get_remote_peer())
        return peer, guard
