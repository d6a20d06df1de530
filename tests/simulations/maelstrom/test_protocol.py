"""The protocol: strict decoding, and what hostile lines lead to."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.maelstrom.protocol import (
    LINE_BYTES_MAX,
    NESTING_MAX,
    Add,
    BadLine,
    BadRequest,
    Broadcast,
    ErrorCode,
    Head,
    Init,
    LineSplitter,
    Packet,
    Read,
    Topology,
    decode_message,
    decode_packet,
    decode_request,
    encode_message,
    encode_value,
    make_error,
    make_reply,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3)
    ),
    max_leaves=10,
)


def decode_body(body: dict) -> object:
    line = json.dumps({"src": "c1", "dest": "n1", "body": body}).encode()
    message, head = decode_message(line)
    return decode_request(head, message.body)


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({"type": "init", "node_id": "n1", "node_ids": ["n1"]}, Init(1, "n1", ("n1",))),
        ({"type": "topology", "topology": {"n1": ["n2"]}}, Topology(1, {"n1": ("n2",)})),
        ({"type": "broadcast", "message": 5}, Broadcast(1, 5)),
        ({"type": "add", "element": [1, "a"]}, Add(1, [1, "a"])),
        ({"type": "read", "more": 1}, Read(1)),
    ],
)
def test_request_is_read_when_well_formed(body, request_):
    assert decode_body({**body, "msg_id": 1}) == request_


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "cas"}, ErrorCode.NOT_SUPPORTED),
        ({"type": "add"}, ErrorCode.MALFORMED_REQUEST),
        ({"type": "init", "node_id": 1, "node_ids": ["n1"]}, ErrorCode.MALFORMED_REQUEST),
        ({"type": "init", "node_id": "n1", "node_ids": []}, ErrorCode.MALFORMED_REQUEST),
        ({"type": "topology", "topology": []}, ErrorCode.MALFORMED_REQUEST),
    ],
)
def test_request_is_refused_with_a_code_when_it_cannot_be_served(body, code):
    with pytest.raises(BadRequest) as caught:
        decode_body({**body, "msg_id": 1})
    assert caught.value.error_code is code


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        b'{"src": "c1", "dest": "n1"}',
        b'{"src": "c1", "dest": "n1", "body": 5}',
        b'{"src": "c1", "dest": "n1", "body": {"msg_id": 1}}',
        b'{"src": "c1", "dest": "n1", "body": {"type": "read", "msg_id": "1"}}',
        b'{"src": "", "dest": "n1", "body": {"type": "read"}}',
        b'{"src": "c1", "dest": "n1", "body": {"type": "read", "x": ' + b"[" * 100_000,
        b'{"src": "\xff", "dest": "n1", "body": {"type": "read"}}',
        b" " * (LINE_BYTES_MAX + 1),
    ],
)
def test_line_is_refused_when_it_is_no_message(line):
    with pytest.raises(BadLine):
        decode_message(line)


@given(st.binary(max_size=200))
def test_line_never_raises_anything_else_whatever_it_holds(line):
    try:
        message, head = decode_message(line)
        decode_request(head, message.body)
    except (BadLine, BadRequest):
        pass


@given(JSON_VALUES)
def test_value_survives_the_line_whatever_it_is(value):
    request = decode_body({"type": "broadcast", "message": value, "msg_id": 1})
    assert isinstance(request, Broadcast)
    encoded = encode_value(request.message)
    assert encode_value(msgspec.json.decode(encoded)) == encoded


def test_value_is_refused_when_it_is_nested_too_deep():
    nested: object = 5
    for depth in range(NESTING_MAX):
        assert encode_value(nested)
        nested = [nested] if depth % 2 else {"a": nested}
    with pytest.raises(BadRequest):
        encode_value(nested)


def test_equal_values_are_one_in_bytes_whatever_their_order():
    assert encode_value({"a": 1, "b": 2}) == encode_value({"b": 2, "a": 1})


def test_packet_survives_the_line():
    packet = Packet(5, 9, opening=True, ack=3, first=4, frames=(b"abc", b"\x00\xff"))
    line = encode_message("n1", "n2", packet)
    assert line.endswith(b"\n")
    message, head = decode_message(line[:-1])
    assert (message.src, message.dest, head.type, head.msg_id) == ("n1", "n2", "mesh", None)
    assert decode_packet(message.body) == packet


@pytest.mark.parametrize(
    "body",
    [
        {"type": "mesh"},
        {"type": "mesh", "session": 0},
        {"type": "mesh", "session": True},
        {"type": "mesh", "session": 1, "frames": ["***"]},
        {"type": "mesh", "session": 1, "frames": ["A" * 100_000]},
        {"type": "mesh", "session": 1, "ack": -1},
    ],
)
def test_packet_is_refused_when_malformed(body):
    with pytest.raises(BadLine):
        decode_packet(msgspec.Raw(json.dumps(body).encode()))


def test_answers_name_the_request():
    assert make_reply("read", 7, value=[]) == {"type": "read_ok", "in_reply_to": 7, "value": []}
    error = BadRequest(ErrorCode.TXN_CONFLICT, "no")
    assert make_error(error, 7) == {"type": "error", "in_reply_to": 7, "code": 30, "text": "no"}


def test_head_takes_what_maelstrom_leaves_out():
    assert decode_message(b'{"src":"a","dest":"b","id":4,"body":{"type":"x"}}')[1] == Head("x")


def test_codes_are_definite_but_for_timeouts_and_crashes():
    assert [code.name for code in ErrorCode if not code.is_definite] == ["TIMEOUT", "CRASH"]


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.data())
def test_splitter_finds_the_lines_however_they_are_cut(lines, data):
    rest = b"".join(line + b"\n" for line in lines)
    splitter, found = LineSplitter(), []
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        found += splitter.feed(rest[:count])
        rest = rest[count:]
    assert found == [line for line in lines if line.strip()]


def test_splitter_drops_a_line_whole_when_it_is_too_long():
    splitter = LineSplitter()
    assert splitter.feed(b"a" * LINE_BYTES_MAX) == []
    assert splitter.feed(b"a") == []
    assert splitter.feed(b"a" * LINE_BYTES_MAX) == []
    assert splitter.feed(b"a\nnext\n") == [b"next"]
    assert splitter.dropped == 1
