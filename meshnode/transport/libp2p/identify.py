"""Being told where one is seen: the part of libp2p's identify that a router's other side needs.

A relay answers with the address that it sees a connection come from, and with nothing about itself:
what it is, and where, members read in its signed record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from libp2p.identity.identify.pb.identify_pb2 import Identify

from meshnode.transport.libp2p.addresses import decode_address, encode_address
from meshnode.transport.libp2p.relay_messages import read_message, write_message

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.libp2p.addresses import TcpAddress
    from meshnode.transport.libp2p.connection import Libp2pConnection

IDENTIFY_PROTOCOL: Final = "/ipfs/id/1.0.0"


async def tell_observed(connection: Libp2pConnection, stream: YamuxStream) -> None:
    """Tell a peer where it is seen. Raises `TransportError`."""
    observed = b"" if connection.is_relayed else encode_address(connection.address)
    await write_message(stream, Identify(observed_addr=observed))
    await stream.close()


async def read_observed(stream: YamuxStream, timeout_ms: int) -> TcpAddress:
    """Where this node is seen by the other end of a connection. Raises `TransportError`."""
    message: Any = await read_message(stream, Identify, timeout_ms)
    return decode_address(message.observed_addr)
