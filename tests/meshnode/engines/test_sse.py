"""Server-sent events, however their bytes are cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.sse import SseEvent, SseParser

LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff"), max_size=12)
NEWLINE = st.sampled_from(["\n", "\r", "\r\n"])


def parse(*pieces: bytes, **options) -> list[SseEvent]:
    parser = SseParser(**options)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


@st.composite
def streams(draw) -> tuple[bytes, list[SseEvent]]:
    """A stream in some writing, and the events it means."""
    text, events = draw(st.sampled_from(["", "\ufeff"])), []
    for lines in draw(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5)):
        newline = draw(NEWLINE)
        name = draw(st.sampled_from(["", "error"]))
        block = [f"event: {name}"] if name else []
        for line in lines:
            if draw(st.booleans()):
                block.append(f": {draw(LINE)}")
            block.append(f"data: {line}")
        text += newline.join([*block, "", ""])
        events.append(SseEvent("\n".join(lines), name or "message"))
    return text.encode(), events


@given(streams(), st.data())
def test_parser_finds_the_same_events_when_bytes_are_cut_anywhere(stream, data):
    raw, events = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert parse(*pieces) == events
    assert parse(*(raw[i : i + 1] for i in range(len(raw)))) == events


@given(st.lists(st.binary(max_size=64), max_size=16))
def test_parser_yields_events_or_one_typed_error_when_bytes_are_noise(pieces):
    with suppress(EngineError):
        assert all(isinstance(event.data, str) for event in parse(*pieces, event_bytes_max=100))


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\ndata:  b\n\n", ["a", " b"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data\n\n", [""]),
        (b": OPENROUTER PROCESSING\n\ndata: a\n\n", ["a"]),
        (b"id: 7\nretry: 5\nunknown: x\ndata: a\n\n", ["a"]),
        (b"event: ping\n\ndata: a\n\n", ["a"]),
        (b"\n\n\n", []),
        (b"data: a\n", ["a"]),
        (b"data: a", []),
        (b"data: a\n\ndata: b", ["a"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"\xef\xbb\xbfdata: a\r\n\r\n", ["a"]),
    ],
)
def test_parser_reads_the_forms_of_the_standard(raw, data):
    assert [event.data for event in parse(raw)] == data


def test_parser_takes_a_line_feed_after_a_carriage_return_as_one_line_end():
    assert parse(b"data: a\r", b"\n\r", b"\n", b"data: b\n\n") == [SseEvent("a"), SseEvent("b")]


@pytest.mark.parametrize(
    "raw", [b"data: " + b"x" * 200, b"data: xxxxxxxx\n" * 20, b": " + b"x" * 200]
)
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_parser_refuses_an_event_over_its_limit(raw, step):
    pieces = [raw[i : i + step] for i in range(0, len(raw), step)]
    with pytest.raises(EngineError, match="larger than 100 bytes") as caught:
        parse(*pieces, event_bytes_max=100)
    assert caught.value.fault is EngineFault.MALFORMED


def test_parser_accepts_any_number_of_comments_inside_a_small_event():
    raw = b"data: a\n" + b": keep alive\n" * 1_000 + b"\n"
    assert parse(raw, event_bytes_max=100) == [SseEvent("a")]
