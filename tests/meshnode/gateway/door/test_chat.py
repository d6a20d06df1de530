"""Chat completions of engines that all do it a little differently."""

from __future__ import annotations

from typing import Any

from meshnode.errors import MeshError
from meshnode.gateway.door.calls import read_chat
from meshnode.gateway.door.chat import ChatStream, ChatWhole
from meshnode.views import Usage
from tests.support.door import QUESTION, read_events
from tests.support.views import make_answer


def make_stream(*, include_usage: bool = True) -> ChatStream:
    options = {"include_usage": include_usage}
    return ChatStream(read_chat({"messages": QUESTION, "stream_options": options}))


def make_chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"choices": list(choices), **fields}


def run(stream: ChatStream, *chunks: dict[str, Any], **answer: Any) -> list[Any]:
    data = b"".join(stream.take(chunk) for chunk in chunks)
    return read_events((data + stream.finish(make_answer(**answer))).decode())


def test_finish_that_came_with_text_stands_alone():
    events = run(
        make_stream(),
        make_chunk({"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}, model="m"),
    )
    assert [each["choices"] for each in events[:2]] == [
        [{"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    ]


def test_usage_is_found_wherever_it_is_and_shown_once():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "cached_tokens": 1}
    finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
    for chunk in (
        make_chunk({**finish, "usage": usage}),
        make_chunk(finish, usage=usage),
        make_chunk(finish) | {"usage": usage},
    ):
        events = run(make_stream(), make_chunk({"index": 0, "delta": {"content": "a"}}), chunk)
        assert events[-2]["usage"] == {**usage, "total_tokens": 3}
        assert "usage" not in str(events[:-2])
        assert events[-1] == "[DONE]"


def test_answer_without_a_finish_or_usage_gets_both():
    events = run(
        make_stream(),
        make_chunk({"index": 0, "delta": {"content": "a"}, "finish_reason": None}),
        finish_reason="length",
        usage=Usage(prompt_tokens=3),
    )
    assert events[1]["choices"][0]["finish_reason"] == "length"
    assert events[2]["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}


def test_answer_of_no_chunks_is_still_one():
    events = run(make_stream(include_usage=False), finish_reason="")
    assert events[0]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert events[0]["id"].startswith("chatcmpl-")
    assert len(events) == 2


def test_choices_are_kept_apart():
    events = run(
        make_stream(include_usage=False),
        make_chunk(
            {"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}
        ),
        make_chunk(
            {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": {"content": []}},
            {"index": 1, "delta": {"content": "c"}, "finish_reason": None},
        ),
        make_chunk({"index": "odd", "delta": "odd"}),
    )
    assert [[choice["index"] for choice in each["choices"]] for each in events[:-1]] == [
        [0, 1],
        [1],
        [0],
        [0],
    ]
    assert events[2]["choices"][0]["logprobs"] == {"content": []}


def test_first_chunk_says_what_all_of_them_share():
    events = run(
        make_stream(include_usage=False),
        make_chunk({"index": 0, "delta": {"content": "a"}}, id="", created=0, model="m"),
        make_chunk(
            {"index": 0, "delta": {"content": "b"}, "finish_reason": None}, id="x", model=""
        ),
    )
    assert len({(each["id"], each["created"], each["model"]) for each in events[:-1]}) == 1
    assert events[0]["created"] > 0


def test_error_ends_a_stream_without_done():
    data = make_stream().fail(MeshError("it broke", hint="ask again"))
    (event,) = read_events(data.decode())
    assert event["error"]["message"] == "it broke; ask again"


def put_together(*chunks: dict[str, Any], **answer: Any) -> dict[str, Any]:
    whole = ChatWhole()
    for chunk in chunks:
        whole.take(chunk)
    return whole.make(make_answer(**answer))


def test_whole_answer_keeps_reasoning_logprobs_and_what_nobody_knows():
    body = put_together(
        make_chunk(
            {"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm"}},
            system_fingerprint="f",
            odd=None,
        ),
        make_chunk({"index": 0, "delta": {"reasoning_content": "m.", "content": "A"}}),
        make_chunk(
            {"index": 0, "delta": {"content": "B"}, "logprobs": {"content": [{"token": "B"}]}}
        ),
        make_chunk({"index": 0, "delta": {}, "finish_reason": "stop", "native": "eos"}),
    )
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "reasoning_content": "Hmm.", "content": "AB"}
    assert choice["logprobs"] == {"content": [{"token": "B"}]}
    assert (choice["native"], body["system_fingerprint"]) == ("eos", "f")
    assert "odd" not in body


def test_whole_answer_of_several_choices_has_them_in_order():
    body = put_together(
        make_chunk({"index": 1, "delta": {"content": "b"}}),
        make_chunk({"index": 0, "delta": {"content": "a"}, "finish_reason": "length"}),
        make_chunk({"index": "odd", "delta": None}),
    )
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["length", "stop"]


def test_whole_answer_of_nothing_is_an_empty_message():
    body = put_together(finish_reason="", model="m")
    assert body["choices"][0]["message"] == {"role": "assistant", "content": ""}
    assert (body["model"], body["choices"][0]["finish_reason"]) == ("m", "stop")


def test_odd_tool_calls_pass():
    body = put_together(make_chunk({"index": 0, "delta": {"tool_calls": ["odd", {"index": 0}]}}))
    message = body["choices"][0]["message"]
    assert (message["tool_calls"], message["content"]) == (["odd", {}], None)
