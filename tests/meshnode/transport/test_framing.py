"""Frames: what was encoded comes back however it is cut; anything else is refused typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import MalformedMessage, MessageTooLarge
from meshnode.transport.base import FRAME_BYTES_MAX
from meshnode.transport.framing import (
    FINISH_FRAME,
    FrameKind,
    FrameParser,
    data_header,
    encode_credit,
)

FRAMES = st.lists(
    st.one_of(
        st.binary(max_size=300).map(lambda payload: (FrameKind.DATA, payload)),
        st.integers(1, 2**32 - 1).map(lambda n: (FrameKind.CREDIT, n.to_bytes(4, "big"))),
        st.just((FrameKind.FINISH, b"")),
    ),
    max_size=20,
)


def encode(frames):
    parts = []
    for kind, payload in frames:
        if kind is FrameKind.DATA:
            parts.append(data_header(payload) + payload)
        elif kind is FrameKind.CREDIT:
            parts.append(encode_credit(int.from_bytes(payload, "big")))
        else:
            parts.append(FINISH_FRAME)
    return b"".join(parts)


@given(FRAMES, st.lists(st.integers(1, 400)))
def test_parser_returns_what_was_encoded_however_it_is_cut(frames, cuts):
    data = encode(frames)
    parser = FrameParser()
    parsed = []
    for cut in [*cuts, len(data)]:
        parsed += parser.feed(data[:cut])
        data = data[cut:]
    parsed += parser.feed(data)
    assert parsed == frames
    assert parser.pending_bytes == 0


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_parser_raises_nothing_but_invalid_messages_on_any_bytes(pieces):
    parser = FrameParser()
    try:
        for piece in pieces:
            for kind, payload in parser.feed(piece):
                assert len(payload) <= FRAME_BYTES_MAX
                assert kind in FrameKind
    except (MalformedMessage, MessageTooLarge):
        pass
    assert parser.pending_bytes <= FRAME_BYTES_MAX + 4 + 200


def test_parser_accepts_the_largest_frame_and_refuses_one_byte_more():
    largest = bytes(FRAME_BYTES_MAX)
    assert FrameParser().feed(data_header(largest) + largest) == [(FrameKind.DATA, largest)]
    with pytest.raises(MessageTooLarge, match="60001"):
        FrameParser().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"\x03\x00\x00\x00", MalformedMessage),
        (b"\xff\xff\xff\xff", MalformedMessage),
        (b"\x01\x00\x00\x03", MalformedMessage),
        (b"\x01\x00\x00\x05", MessageTooLarge),
        (b"\x02\x00\x00\x01", MessageTooLarge),
        (b"\x00\xff\xff\xff", MessageTooLarge),
    ],
)
def test_parser_judges_a_frame_by_its_header_alone(header, error):
    with pytest.raises(error):
        FrameParser().feed(header)


def test_wire_vectors():
    assert data_header(b"abc") + b"abc" == bytes.fromhex("00000003616263")
    assert encode_credit(65_536) == bytes.fromhex("0100000400010000")
    assert bytes.fromhex("02000000") == FINISH_FRAME
