"""The reading side of the dialect, without a network."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import find_usage
from meshnode.engines.openai_stream import CompletionStream, chunk_of_completion
from meshnode.secret import Secret
from tests.support.chunks import finish_reason_of, text_of
from tests.support.openai_server import DONE, chunk, event, text

USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
FINISH = chunk({}, "stop")


def read(*pieces: bytes, **options):
    """The chunks of a stream and whether it said that it is done."""
    stream = CompletionStream("the engine", secret=Secret(""), **options)
    chunks = [item for piece in pieces for item in stream.feed(piece)]
    return chunks + stream.finish()


def fault_of(*pieces: bytes, **options) -> EngineFault:
    with pytest.raises(EngineError) as caught:
        read(*pieces, **options)
    return caught.value.fault


def test_chunks_pass_through_untouched():
    raw = chunk({"content": "a", "reasoning_content": "why"}, x_new={"deep": [1, 2.5, None]})
    first, last = read(raw, FINISH, DONE)
    assert event(first) == raw
    assert finish_reason_of(last) == "stop"


@pytest.mark.parametrize(
    "pieces",
    [
        (chunk({}, "stop", usage=USAGE), DONE),
        (chunk({}, "stop", choice={"usage": USAGE}), DONE),
        (FINISH, event({"choices": [], "usage": USAGE}), DONE),
        (FINISH, event({"usage": USAGE}), DONE),
        (chunk({"content": "b"}, usage=USAGE), FINISH, DONE),
        (chunk({}, "stop", usage=USAGE), event({"choices": [], "usage": None}), DONE),
    ],
    ids=["top", "choice", "extra", "extra-without-choices", "early", "null-after"],
)
def test_usage_ends_up_in_the_last_chunk_wherever_it_was(pieces):
    chunks = read(text("a"), *pieces)
    assert chunks[-1]["usage"] == USAGE
    assert "".join(map(text_of, chunks)).startswith("a")
    reasons = [finish_reason_of(item) for item in chunks if item["choices"]]
    assert reasons[-1] == "stop"


def test_usage_stays_unknown_when_the_server_sends_none():
    assert find_usage(read(text("a"), FINISH, DONE)[-1]) is None


def test_nothing_after_done_counts():
    assert len(read(FINISH, DONE, text("late"))) == 1


@pytest.mark.parametrize("end", [(), (b"data: [DONE]\n",), (b"data:[DONE] \n\n",)])
def test_stream_is_complete_when_it_has_a_finish_reason(end):
    assert len(read(text("a"), FINISH, *end)) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (text("a"),),
        (text("a"), DONE),
        (text("a"), FINISH[:-9]),
        (chunk({}, "stop"), chunk({"content": "x"}, choice={"index": 1})),
    ],
)
def test_stream_is_truncated_when_a_finish_reason_is_missing(pieces):
    assert fault_of(*pieces) is EngineFault.TRUNCATED


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (event({"error": {"code": 429, "message": "x"}}), EngineFault.RATE_LIMITED),
        (event({"error": {"type": "server_error", "message": "x"}}), EngineFault.INTERNAL),
        (b'event: error\ndata: {"message": "overloaded"}\n\n', EngineFault.INTERNAL),
        (b"data: {oops\n\n", EngineFault.MALFORMED),
        (b"data: 5\n\n", EngineFault.MALFORMED),
        (b"data: " + b"[" * 60_000 + b"\n\n", EngineFault.MALFORMED),
        (b'data: {"choices": NaN}\n\n', EngineFault.MALFORMED),
        (event({"choices": "x"}), EngineFault.MALFORMED),
        (event({"choices": ["x"]}), EngineFault.MALFORMED),
        (event({"choices": [{"index": "x"}]}), EngineFault.MALFORMED),
        (event({"choices": [{"index": -1}]}), EngineFault.MALFORMED),
        (event({"choices": [{"index": True}]}), EngineFault.MALFORMED),
        (event({"choices": [{"delta": "x"}]}), EngineFault.MALFORMED),
        (event({"choices": [{"finish_reason": 5}]}), EngineFault.MALFORMED),
    ],
)
def test_bad_event_becomes_its_fault(raw, fault):
    assert fault_of(text("a"), raw) is fault


def test_null_error_is_no_error():
    assert len(read(chunk({"content": "a"}, error=None), FINISH)) == 2


def test_answer_over_its_limit_is_refused():
    assert fault_of(text("a"), text("b"), answer_bytes_max=200) is EngineFault.MALFORMED


def test_whole_completion_becomes_one_chunk():
    message = {"role": "assistant", "content": "hi"}
    completion = {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "x": 1}],
        "usage": USAGE,
    }
    assert chunk_of_completion(completion, "the engine") == {
        "id": "1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": message, "finish_reason": "stop", "x": 1}],
        "usage": USAGE,
    }


@pytest.mark.parametrize("choices", [None, "x", ["x"]])
def test_whole_completion_without_choices_is_malformed(choices):
    with pytest.raises(EngineError, match="choices"):
        chunk_of_completion({"choices": choices}, "the engine")


def test_text_is_that_of_the_first_choice():
    assert text_of({"choices": [{"index": 1, "delta": {"content": "b"}}]}) == ""
    assert text_of({"choices": [{"index": 0, "delta": None}]}) == ""
    assert text_of({"choices": None}) == ""


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "index", "finish_reason", "usage", "error"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "error"]), VALUE), max_size=4))
def test_any_json_gives_chunks_or_an_engine_error(payloads):
    raw = [f"data: {json.dumps(payload)}\n\n".encode() for payload in payloads]
    try:
        chunks = read(*raw)
    except EngineError:
        return
    assert all(isinstance(item["choices"], list) for item in chunks)
    assert any(finish_reason_of(item) for item in chunks)


def test_good_chunks_before_a_bad_one_are_kept_and_the_failure_too():
    stream = CompletionStream("the engine", secret=Secret(""))
    (only,) = stream.feed(text("a") + b"data: {oops\n\n" + text("late"))
    assert text_of(only) == "a"
    assert stream.failure is not None
    assert stream.failure.fault is EngineFault.MALFORMED
    with pytest.raises(EngineError) as caught:
        stream.finish()
    assert caught.value is stream.failure


def test_finish_reason_error_is_an_error():
    refused = {"error": {"code": 429, "message": "slow down"}}
    assert fault_of(chunk({}, "error", choice=refused)) is EngineFault.RATE_LIMITED
