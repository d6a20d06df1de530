"""Answers as responses: items, events, and what is kept of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshnode.errors import MeshError
from meshnode.gateway.door import responses_output, responses_store
from meshnode.gateway.door.responses import ResponseStream, ResponseWhole
from meshnode.gateway.door.responses_store import Kept, ResponseStore
from meshnode.gateway.refusals import UnknownResponse
from meshnode.views import Started
from tests.support.door import call_tool, chunk, read_events
from tests.support.views import make_answer

STARTED = Started(model="m", engine="e", author="aa", peer="p", name="n", local=True)
THINKING = [
    chunk({"role": "assistant", "reasoning_content": "Hm"}),
    chunk({"reasoning": "m."}),
    chunk({"content": "A"}),
    chunk({"content": "B"}),
    chunk({}, "stop"),
]


def run(chunks: list[Any], body: dict[str, Any] | None = None) -> tuple[list[Any], list[Any]]:
    kept: list[Any] = []
    stream = ResponseStream(body or {}, lambda *whole: kept.append(whole))
    data = stream.start(STARTED)
    for each in chunks:
        data += stream.take(each)
    data += stream.finish(make_answer())
    return read_events(data.decode()), kept


def test_events_come_numbered_with_names_and_every_item_begins_and_ends():
    events, kept = run(THINKING)
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    assert [each["type"].removeprefix("response.") for each in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    assert output[0]["content"] == [{"type": "reasoning_text", "text": "Hmm."}]
    assert kept[0][1] == {"role": "assistant", "content": "AB", "reasoning_content": "Hmm."}
    first = ResponseStream({}, lambda *_: None).start(STARTED)
    assert first.startswith(b"event: response.created\ndata: {")


def test_calls_are_items_of_their_own():
    second = [
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}}
    ]
    chunks = [
        *call_tool("f", '{"a": 1}')[:-1],
        chunk({"tool_calls": second}),
        chunk({}, "tool_calls"),
    ]
    events, kept = run(chunks)
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output] == [
        ("call_1", "f", '{"a": 1}'),
        ("call_2", "g", ""),
    ]
    deltas = [each["delta"] for each in events if each["type"].endswith("arguments.delta")]
    assert "".join(deltas) == '{"a": 1}'
    assert "content" not in kept[0][1]
    assert [call["id"] for call in kept[0][1]["tool_calls"]] == ["call_1", "call_2"]


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_answer_that_was_cut_off_is_incomplete(reason, told):
    events, _ = run([chunk({"content": "a"}), chunk({}, reason)])
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": told}


def test_response_repeats_what_was_asked():
    whole = ResponseWhole({"model": "m", "instructions": "i", "tools": None}, lambda *_: None)
    whole.take(chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1}))
    body = whole.make(make_answer())
    assert (body["instructions"], body["tools"], body["store"]) == ("i", [], True)
    assert body["usage"]["total_tokens"] == 2
    assert body["output"][0]["status"] == "completed"


def test_details_of_usage_are_found_in_both_places():
    usage = {
        "prompt_tokens": 4,
        "completion_tokens": 3,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    events, _ = run([chunk({"content": "a"}, "stop", usage=usage)])
    found = events[-1]["response"]["usage"]
    assert found["input_tokens_details"] == {"cached_tokens": 2}
    assert found["output_tokens_details"] == {"reasoning_tokens": 1}


def test_failure_keeps_what_had_come():
    stream = ResponseStream({}, lambda *_: None)
    stream.take(chunk({"content": "a"}))
    (event,) = read_events(stream.fail(MeshError("it broke")).decode())
    assert (event["type"], event["response"]["status"]) == ("response.failed", "failed")
    assert event["response"]["error"] == {"code": "mesh_error", "message": "it broke"}
    assert event["response"]["output"][0]["content"][0]["text"] == "a"


def test_odd_chunks_add_nothing(monkeypatch):
    monkeypatch.setattr(responses_output, "CALLS_MAX", 1)
    odd = [
        {"choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": 3}]},
        {"choices": [{"index": 0, "delta": {"content": 3, "tool_calls": "odd"}}], "model": 3},
        chunk({"tool_calls": ["odd", {"index": 0, "function": 3}]}),
        chunk({"tool_calls": [{"index": 1, "id": "x"}]}),
    ]
    events, kept = run(odd)
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["name"]) == ("function_call", "")
    assert item["call_id"].startswith("call_")
    assert json.dumps(kept)


def make_kept(number: int, *, owner: str = "a", made_s: float = 0, size_bytes: int = 1) -> Kept:
    return Kept(
        owner=owner,
        response={"id": f"r{number}"},
        messages=(),
        added=(),
        size_bytes=size_bytes,
        made_s=made_s,
    )


def test_store_is_bounded_in_count_size_and_age(monkeypatch):
    now_s = 0.0
    store = ResponseStore(read_clock_s=lambda: now_s)
    monkeypatch.setattr(responses_store, "RESPONSES_MAX", 3)
    monkeypatch.setattr(responses_store, "BYTES_MAX", 10)
    for number in range(5):
        store.keep(make_kept(number))
    assert len(store) == 3
    store.keep(make_kept(9, size_bytes=10))
    assert len(store) == 1
    now_s = 3_601
    with pytest.raises(UnknownResponse):
        store.find("r9", "a")
    store.keep(make_kept(10, made_s=now_s))
    assert len(store) == 1
    assert store.find("r10", "a").size_bytes == 1


def test_store_gives_each_client_its_own():
    store = ResponseStore(read_clock_s=lambda: 0)
    store.keep(make_kept(1))
    for use in (store.find, store.delete):
        with pytest.raises(UnknownResponse):
            use("r1", "b")
    store.delete("r1", "a")
    assert len(store) == 0
