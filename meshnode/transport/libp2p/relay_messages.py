"""The messages of circuit relay v2, with limits: libp2p's own protobuf records, length-prefixed.

A relay says besides where it sees the peer, in a field that the records have for addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
from libp2p.io.exceptions import IOException
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Limit, Reservation, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import PeerId as CircuitPeer
from libp2p.relay.circuit_v2.pb.circuit_pb2 import Status as CircuitStatus
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.utils.varint import encode_varint_prefixed, read_varint_prefixed_bytes_limited

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.addresses import decode_address, encode_address
from meshnode.transport.peer_id import public_key_from_peer_id

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

HOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/hop"
STOP_PROTOCOL: Final = "/libp2p/circuit/relay/0.2.0/stop"
MESSAGE_BYTES_MAX: Final = 4_096
MIB: Final = 1024 * 1024

OK: Final[int] = CircuitStatus.OK
RESERVATION_REFUSED: Final[int] = CircuitStatus.RESERVATION_REFUSED
RESOURCE_LIMIT_EXCEEDED: Final[int] = CircuitStatus.RESOURCE_LIMIT_EXCEEDED
PERMISSION_DENIED: Final[int] = CircuitStatus.PERMISSION_DENIED
CONNECTION_FAILED: Final[int] = CircuitStatus.CONNECTION_FAILED
NO_RESERVATION: Final[int] = CircuitStatus.NO_RESERVATION
MALFORMED_MESSAGE: Final[int] = CircuitStatus.MALFORMED_MESSAGE

_REASONS: Final = {
    RESERVATION_REFUSED: "the relay has no place for another reservation",
    RESOURCE_LIMIT_EXCEEDED: "the relay carries as many connections as it may",
    PERMISSION_DENIED: "the relay serves members only, and knows none by this key",
    CONNECTION_FAILED: "the relay could not hand the connection on",
    NO_RESERVATION: "the peer has no reservation at the relay",
    MALFORMED_MESSAGE: "the relay did not understand",
}

MessageT = TypeVar("MessageT")


class RelayRefused(TransportError):
    """A relay, or a peer behind it, said no; or said nothing that can be understood."""

    code = "relay_refused"


async def read_message(stream: YamuxStream, kind: type[MessageT], timeout_ms: int) -> MessageT:
    """The next message. Raises `RelayRefused` for none in time, and for what is none."""
    message: Any = kind()
    try:
        with trio.fail_after(timeout_ms / 1000):
            data = await read_varint_prefixed_bytes_limited(stream, MESSAGE_BYTES_MAX)
        message.ParseFromString(data)
    except trio.TooSlowError as error:
        raise RelayRefused("nothing came in time") from error
    except Exception as error:  # the libraries' errors on hostile bytes are not enumerable
        raise RelayRefused("not a message of this protocol") from error
    return message  # type: ignore[no-any-return]  # the library's records have no types


async def write_message(stream: YamuxStream, message: Any) -> None:
    """Write one message. Raises `RelayRefused` where the stream has ended."""
    try:
        await stream.write(encode_varint_prefixed(message.SerializeToString()))
    except (IOException, MuxedStreamError) as error:
        raise RelayRefused("the stream ended") from error


def make_peer(peer: PeerId, seen_at: str = "") -> Any:
    """A peer as messages name it, and where the relay sees it, as far as that is to be told."""
    seen = [encode_address(seen_at)] if seen_at else []
    return CircuitPeer(id=ID.from_base58(peer).to_bytes(), addrs=seen)


def read_seen_host(message: Any) -> str | None:
    """Where a relay sees the peer that its message names; None where it does not say."""
    for data in message.peer.addrs[:1]:
        try:
            return decode_address(data).host
        except TransportError:
            return None
    return None


def read_peer(message: Any) -> PeerId:
    """The peer a message names. Raises `RelayRefused`."""
    peer = PeerId(ID(message.peer.id).to_base58())
    try:
        public_key_from_peer_id(peer)
    except TransportError as error:
        raise RelayRefused("the message names no peer") from error
    return peer


def make_limit(duration_ms: int, size_bytes: int) -> Any:
    """What a circuit may last and carry."""
    return Limit(duration=duration_ms // 1000, data=size_bytes)


def make_hop_status(status: Any, **fields: Any) -> Any:
    """A relay's answer to whoever asked it for something."""
    return HopMessage(type=HopMessage.STATUS, status=status, **fields)


def make_reservation(expires_s: int) -> Any:
    """How long a place is kept."""
    return Reservation(expire=expires_s)


def make_stop_status(status: Any) -> Any:
    """A peer's answer to the relay that hands it a connection."""
    return StopMessage(type=StopMessage.STATUS, status=status)


def check_status(message: Any, kind: Any) -> None:
    """Raises `RelayRefused` with the reason, unless the answer is yes."""
    if message.type != kind.STATUS:
        raise RelayRefused("the relay answered something else")
    if message.status != OK:
        raise RelayRefused(_REASONS.get(message.status, f"the relay said {message.status}"))
