"""Requests to `/v1/responses`, read as chats."""

from __future__ import annotations

import pytest

from meshnode.gateway.door import responses_reading
from meshnode.gateway.door.responses_reading import read_input, read_response_call, read_store
from meshnode.gateway.refusals import InvalidRequest


def read(**fields):
    return read_response_call({"input": "Hi", **fields}, [])[0]


def test_items_become_messages_and_what_was_said_in_one_go_is_one():
    assert read_input(
        [
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "t"}],
            },
            {"role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "two"}],
            },
            {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
        ]
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "reasoning_content": "t",
            "content": "Wait.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c3", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
    ]


def test_two_answers_in_a_row_stay_two():
    items = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert [each["content"] for each in read_input(items)] == ["a", "b"]


def test_images_and_refusals_pass_and_nothing_is_nothing():
    parts = [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"},
    ]
    (message,) = read_input([{"role": "user", "content": parts}])
    assert message["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}},
    ]
    refusal = [{"type": "refusal", "refusal": "No."}]
    assert read_input([{"role": "assistant", "content": refusal}])[0]["content"] == "No."
    assert read_input([{"role": "user"}]) == [{"role": "user", "content": ""}]
    assert read_input([{"type": "reasoning", "summary": []}]) == []
    assert read_input(None) == []


def test_fields_move_to_where_chats_have_them():
    schema = {"type": "json_schema", "name": "s", "schema": {}, "strict": True}
    call = read(
        instructions="Be brief.",
        max_output_tokens=5,
        tools=[{"type": "function", "name": "f", "parameters": {}, "description": None}],
        tool_choice={"type": "function", "name": "f"},
        text={"format": schema, "verbosity": "low"},
        reasoning={"effort": "high"},
        top_p=0.5,
        metadata={"a": "b"},
        store=False,
        odd=1,
    )
    assert call.messages[0] == {"role": "system", "content": "Be brief."}
    assert call.options["max_tokens"] == 5
    assert call.options["extra"] == {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "verbosity": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {}, "strict": True},
        },
        "reasoning_effort": "high",
        "top_p": 0.5,
        "odd": 1,
    }


def test_plain_formats_and_choices_need_nothing():
    extra = read(
        text={"format": {"type": "text"}},
        tools=[{"type": "function", "name": "f"}],
        tool_choice="required",
        reasoning={},
    ).options["extra"]
    assert set(extra) == {"tools", "tool_choice"}
    assert read(text={"format": {"type": "json_object"}}).options["extra"] == {
        "response_format": {"type": "json_object"}
    }
    assert read(text={}, tools=[], instructions=[{"role": "user", "content": "a"}]).messages[0] == {
        "role": "user",
        "content": "a",
    }
    assert "tool_choice" not in read(tools=[{"type": "function", "name": "f"}]).options["extra"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 3}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"]}, "input[0]"),
        ({"input": [{"type": "file_search_call"}]}, "input[0]"),
        ({"input": [{"content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"tools": 3}, "tools"),
        ({"tools": ["a"]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        (
            {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "mcp"}},
            "tool_choice",
        ),
        ({"text": 3}, "text"),
        ({"text": {"format": 3}}, "text"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "x"}}, "prompt"),
    ],
)
def test_what_cannot_be_had_is_named(fields, param):
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert refused.value.param == param


def test_items_are_bounded(monkeypatch):
    monkeypatch.setattr(responses_reading, "ITEMS_MAX", 1)
    with pytest.raises(InvalidRequest):
        read_input([{"role": "user", "content": "a"}] * 2)


def test_responses_are_stored_unless_told_not_to():
    assert read_store({})
    assert not read_store({"store": False})
