"""The frames of answer streams: one byte form each, limits before anything else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.errors import InvalidMessage, MalformedMessage, MessageTooLarge
from meshnode.serving import protocol
from meshnode.transport.base import FRAME_BYTES_MAX

LOAD = protocol.Load(7, 6, 5, 4, 3, 2, 1, draining=False)
ASK = protocol.Ask(
    version=1,
    request=bytes(16),
    body_bytes=2,
    share="full",
    remaining_ms=1_000,
    knowledge=(bytes(32),),
    private=True,
)
PAID_ASK = protocol.PaidAsk(
    version=1,
    request=bytes(16),
    body_bytes=2,
    share="full",
    remaining_ms=1_000,
    knowledge=(),
    private=False,
    contract=bytes([1]) * 32,
    salt=bytes([2]) * 32,
)
DONE = protocol.Done(
    vertex=bytes(32),
    lamport=1,
    engine="echo",
    model="echo",
    share="digest",
    finish_reason="stop",
    prompt_tokens=1,
    completion_tokens=2,
    queued_ms=3,
    first_token_ms=4,
    total_ms=5,
    load=LOAD,
)


@pytest.mark.parametrize(
    "frame",
    [
        ASK,
        PAID_ASK,
        protocol.AskPart(b"{}"),
        protocol.Cancel(),
        protocol.Countersign(1, b"s"),
        protocol.Probe(1, 9),
    ],
)
def test_ask_frame_survives_the_wire(frame):
    assert protocol.decode_ask_frame(protocol.encode_frame(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        protocol.Queued(3, LOAD),
        protocol.Report(LOAD, 4, True, bytes(16)),
        protocol.Failed("internal", "broken", 0, LOAD),
        protocol.Part(b"{}", last=True),
        DONE,
        protocol.Invoice(b"receipt", b"signature"),
        protocol.Failed("overloaded", "busy", 500),
    ],
)
def test_answer_frame_survives_the_wire(frame):
    assert protocol.decode_answer_frame(protocol.encode_frame(frame)) == frame


def test_frames_have_a_frozen_byte_form():
    assert protocol.encode_frame(protocol.Queued(3, LOAD)).hex() == "930403980706050403" + "0201c2"
    assert protocol.encode_frame(protocol.Part(b"{}", last=True)).hex() == "9305c4027b7dc3"
    assert protocol.encode_frame(protocol.Cancel()).hex() == "9103"
    ask = protocol.encode_frame(ASK).hex()
    paid = protocol.encode_frame(PAID_ASK).hex()
    assert paid == (
        "9a0801c410" + "00" * 16 + "02a466756c6ccd03e890c2c420" + "01" * 32 + "c420" + "02" * 32
    )
    assert protocol.encode_frame(protocol.Countersign(3, b"s")).hex() == "930a03c40173"
    assert protocol.encode_frame(protocol.Invoice(b"r", b"s")).hex() == "9309c40172c40173"
    assert ask == "980101c410" + "00" * 16 + "02a466756c6ccd03e891c420" + "00" * 32 + "c3"


def test_largest_part_fits_a_frame():
    part = protocol.Part(bytes(protocol.PART_BYTES_MAX), last=False)
    assert len(protocol.encode_frame(part)) <= FRAME_BYTES_MAX


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"request": bytes(15)},
        {"body_bytes": 1},
        {"body_bytes": protocol.REQUEST_BYTES_MAX + 1},
        {"share": "everything"},
        {"remaining_ms": 0},
        {"knowledge": (bytes(31),)},
        {"knowledge": (bytes(32),) * 7},
    ],
)
def test_ask_is_refused_when_a_field_breaks_its_limit(change):
    with pytest.raises(MalformedMessage):
        protocol.decode_ask_frame(protocol.encode_frame(msgspec.structs.replace(ASK, **change)))


@pytest.mark.parametrize(
    "frame",
    [
        protocol.Report(LOAD, 1, True, bytes(7)),
        protocol.Report(LOAD, 1, True, bytes(8 * (protocol.BLOCKS_MAX + 1))),
        protocol.Report(msgspec.structs.replace(LOAD, kv_usage_bp=10_001), 1, True, b""),
        protocol.Queued(1, msgspec.structs.replace(LOAD, running=-1)),
    ],
)
def test_report_is_refused_when_a_field_breaks_its_limit(frame):
    with pytest.raises(MalformedMessage):
        protocol.decode_answer_frame(protocol.encode_frame(frame))


def test_probe_is_refused_when_its_version_is_another():
    with pytest.raises(MalformedMessage, match="version"):
        protocol.decode_ask_frame(protocol.encode_frame(protocol.Probe(2, 0)))


def test_frame_is_refused_when_it_is_too_large():
    with pytest.raises(MessageTooLarge):
        protocol.decode_answer_frame(bytes(FRAME_BYTES_MAX + 1))


def test_frame_is_refused_when_it_is_for_the_other_side():
    with pytest.raises(MalformedMessage):
        protocol.decode_answer_frame(protocol.encode_frame(ASK))
    with pytest.raises(MalformedMessage):
        protocol.decode_ask_frame(protocol.encode_frame(DONE))


@given(st.binary(max_size=300))
def test_any_bytes_decode_to_a_canonical_frame_or_a_typed_error(data):
    for decode in (protocol.decode_ask_frame, protocol.decode_answer_frame):
        try:
            frame = decode(data)
        except InvalidMessage:
            continue
        assert protocol.encode_frame(frame) == data


@given(st.binary(max_size=3 * protocol.PART_BYTES_MAX))
def test_parts_join_to_the_whole(data):
    parts = protocol.split_parts(data)
    assert b"".join(parts) == data
    assert all(len(part) <= protocol.PART_BYTES_MAX for part in parts)
    assert parts


def test_clip_text_marks_what_it_cut():
    assert protocol.clip_text("abc", chars_max=3) == "abc"
    assert protocol.clip_text("abcd", chars_max=3) == "ab…"
