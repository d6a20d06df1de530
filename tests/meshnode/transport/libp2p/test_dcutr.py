"""The messages of DCUtR byte for byte, and which of a peer's addresses this node dials."""

from __future__ import annotations

import pytest
import trio
from libp2p.relay.circuit_v2.dcutr import read_dcutr_msg
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch

from meshnode.errors import TransportError
from meshnode.transport.libp2p.addresses import ADDRESS_BYTES_MAX, decode_address, encode_address
from meshnode.transport.libp2p.dcutr import (
    NAMED_MAX,
    TARGETS_MAX,
    PunchFailed,
    Target,
    pick_targets,
    read_connect,
    read_sync,
    send_connect,
    send_sync,
)
from meshnode.transport.libp2p.relay_messages import MESSAGE_BYTES_MAX

# From the specification: field 1 is the type (CONNECT = 100, SYNC = 300), field 2 the addresses.
# An address is a multiaddr: ip4 is 0x04 and 4 bytes, ip6 0x29 and 16 bytes, tcp 0x06 and 2 bytes.
ADDRESS = bytes.fromhex("04 cb00710b 06 0fa1")
ADDRESS_6 = bytes.fromhex("29 20010db8000000000000000000000001 06 0fa1")
CONNECT = bytes.fromhex("0c 08 64 12 08") + ADDRESS
CONNECT_NOBODY = bytes.fromhex("02 08 64")
SYNC = bytes.fromhex("03 08 ac02")
HERE = Target("203.0.113.11", 4001)
PUBLIC = "1.1.1.1"


class Pipe:
    """A stream that remembers what was written, and reads what it was given."""

    def __init__(self, data=b""):
        self.data = data
        self.written = b""

    async def write(self, data):
        self.written += data

    async def read(self, n):
        if not self.data:
            await trio.sleep_forever()
        taken, self.data = self.data[:n], self.data[n:]
        return taken


def run(function, *args):
    return trio.run(function, *args)


def named(*texts):
    return [encode_address(text) for text in texts]


def test_messages_are_those_of_the_specification():
    pipe = Pipe()
    run(send_connect, pipe, [HERE])
    run(send_connect, pipe, [])
    run(send_sync, pipe)
    assert pipe.written == CONNECT + CONNECT_NOBODY + SYNC
    theirs = HolePunch(type=HolePunch.CONNECT, ObsAddrs=[ADDRESS])
    assert theirs.SerializeToString() == CONNECT[1:]


def test_library_reads_them_as_what_they_are():
    pipe = Pipe()
    run(send_connect, pipe, [HERE])
    message = run(read_dcutr_msg, Pipe(pipe.written), HolePunch)
    assert (message.type, list(message.ObsAddrs)) == (HolePunch.CONNECT, [ADDRESS])


def test_messages_are_read():
    assert run(read_connect, Pipe(CONNECT), 1_000) == (ADDRESS,)
    assert run(read_connect, Pipe(CONNECT_NOBODY), 1_000) == ()
    run(read_sync, Pipe(SYNC), 1_000)


def test_only_so_many_addresses_are_looked_at():
    body = b"\x08\x64" + 30 * (b"\x12\x08" + ADDRESS)
    data = (
        len(body).to_bytes(1) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    )
    assert len(run(read_connect, Pipe(data + body), 1_000)) == NAMED_MAX


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_connect, SYNC),
        (read_sync, CONNECT),
        (read_connect, bytes.fromhex("02 08 07")),
        (read_connect, bytes.fromhex("00")),
        (read_connect, bytes.fromhex("03 ff ff ff")),
        (read_connect, bytes([0x81, (MESSAGE_BYTES_MAX >> 7) & 127 | 0])),
        (read_connect, bytes.fromhex("ff ff ff ff ff ff ff ff ff ff ff")),
    ],
)
def test_anything_else_is_refused(read, data):
    with pytest.raises(TransportError):
        run(read, Pipe(data), 200)


def test_addresses_go_to_bytes_and_back():
    assert encode_address(HERE.text) == ADDRESS
    assert encode_address(Target("2001:db8::1", 4001).text) == ADDRESS_6
    address = decode_address(ADDRESS_6)
    assert (address.host, address.port, address.host_kind) == ("2001:db8::1", 4001, "ip6")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        ADDRESS[:-1],
        bytes(ADDRESS_BYTES_MAX + 1),
        encode_address("/dns4/example.org/tcp/4001"),
        encode_address("/ip4/203.0.113.11/udp/4001"),
        encode_address("/ip4/203.0.113.11/tcp/4001/ws"),
    ],
)
def test_what_is_no_endpoint_of_an_ip_address_is_no_address(data):
    with pytest.raises(TransportError):
        decode_address(data)


def test_only_the_host_that_the_relay_sees_is_dialled():
    texts = ["/ip4/9.9.9.9/tcp/4001", f"/ip4/{PUBLIC}/tcp/4001", "/ip4/192.168.1.1/tcp/4001"]
    targets = pick_targets(named(*texts), seen_host=PUBLIC, relay_host="8.8.8.8")
    assert targets == (Target(PUBLIC, 4001),)


def test_few_ports_are_dialled_each_once_and_none_of_a_service():
    texts = [f"/ip4/{PUBLIC}/tcp/{port}" for port in (22, 1_023, 1_024, 1_024, 5_000, 6_000, 7_000)]
    targets = pick_targets(named(*texts), seen_host=PUBLIC, relay_host="8.8.8.8")
    assert [target.port for target in targets] == [1_024, 5_000, 6_000]
    assert len(targets) == TARGETS_MAX


def test_garbage_among_the_addresses_is_passed_over():
    data = [b"", b"\xff\xff", *named("/dns4/example.org/tcp/4001", f"/ip4/{PUBLIC}/tcp/4001")]
    assert pick_targets(data, seen_host=PUBLIC, relay_host="8.8.8.8") == (Target(PUBLIC, 4001),)


@pytest.mark.parametrize(
    ("seen", "relay"),
    [
        ("192.168.1.7", "8.8.8.8"),
        ("127.0.0.1", "8.8.8.8"),
        ("127.0.0.1", "192.168.1.1"),
        ("224.0.0.1", "8.8.8.8"),
        ("0.0.0.0", "127.0.0.1"),
        ("169.254.169.254", "10.0.0.1"),
        ("::1", "2606:4700::1"),
        ("fe80::1", "2606:4700::1"),
        (None, "8.8.8.8"),
    ],
)
def test_relay_leads_to_no_narrower_network_than_its_own(seen, relay):
    host = seen or PUBLIC
    text = Target(host, 4001).text
    with pytest.raises(PunchFailed):
        pick_targets(named(text), seen_host=seen, relay_host=relay)


@pytest.mark.parametrize(
    ("seen", "relay"),
    [("192.168.1.7", "192.168.1.1"), ("127.0.0.1", "127.0.0.1"), (PUBLIC, "10.0.0.1")],
)
def test_relay_of_a_network_leads_within_it_and_out_of_it(seen, relay):
    text = Target(seen, 4001).text
    assert pick_targets(named(text), seen_host=seen, relay_host=relay) == (Target(seen, 4001),)


def test_peer_that_names_nothing_of_its_own_is_not_dialled():
    with pytest.raises(PunchFailed, match="names no address"):
        pick_targets(named("/ip4/9.9.9.9/tcp/4001"), seen_host=PUBLIC, relay_host="8.8.8.8")
