"""Conversations: empty contents, ids, continuations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError
from meshnode.engines.rules.draft import Draft
from meshnode.engines.rules.messages import (
    MESSAGES_MAX,
    Continuation,
    apply_continuation,
    check_messages,
    drop_empty_contents,
    normalise_tool_ids,
)

USER = {"role": "user", "content": "hi"}


def call(call_id: Any, name: Any = "go") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def calling(*calls: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **fields}


def result(call_id: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "done"}


def draft(*messages: Any, **fields: Any) -> Draft:
    return Draft({"messages": list(messages), **fields})


@pytest.mark.parametrize(
    "messages",
    [None, [], "hi", [5], [{"content": "x"}], [{"role": 5}], [USER] * (MESSAGES_MAX + 1)],
)
def test_what_is_no_conversation_is_refused(messages):
    with pytest.raises(EngineError, match="messages"):
        check_messages(Draft({"messages": messages}))


@pytest.mark.parametrize("content", ["", None, [], [{"type": "text", "text": ""}]])
def test_empty_content_beside_calls_is_left_out(content):
    made = draft(USER, calling(call("a"), content=content), {"role": "user", "content": ""})
    drop_empty_contents(made)
    assert "content" not in made.messages[1]
    assert made.messages[2]["content"] == ""


def test_content_beside_calls_stays():
    made = draft(USER, calling(call("a"), content="Let me see."))
    drop_empty_contents(made)
    assert made.messages[1]["content"] == "Let me see."


def test_ids_count_over_the_whole_conversation_and_results_follow():
    made = draft(
        USER,
        calling(call("x1"), call("x2", "look")),
        result("x2"),
        result("x1"),
        USER,
        calling(call("x1")),
        result("x1"),
        result("unknown"),
    )
    normalise_tool_ids(made)
    messages = made.messages
    assert [c["id"] for c in messages[1]["tool_calls"]] == ["functions.go:0", "functions.look:1"]
    assert [messages[index]["tool_call_id"] for index in (2, 3)] == [
        "functions.look:1",
        "functions.go:0",
    ]
    # The same id again, in a later turn, is the later call.
    assert messages[5]["tool_calls"][0]["id"] == messages[6]["tool_call_id"] == "functions.go:2"
    assert messages[7]["tool_call_id"] == "unknown"


@pytest.mark.parametrize("broken", [5, {}, {"function": 5}, {"function": {"name": 5}}, call(5)])
def test_calls_of_any_shape_are_read_without_harm(broken):
    made = draft(USER, calling(call("a"), broken), calling("text"))
    normalise_tool_ids(made)
    drop_empty_contents(made)
    assert made.messages[1]["tool_calls"][0]["id"] == "functions.go:0"


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=3), max_size=6))
def test_normalising_twice_changes_nothing_more(turns):
    messages: list[Any] = [USER]
    for ids in turns:
        if ids:
            messages += [calling(*map(call, ids)), *map(result, ids)]
    made = draft(*messages)
    normalise_tool_ids(made)
    once = made.messages
    normalise_tool_ids(made)
    assert made.messages == once
    ids = [call["id"] for message in once for call in message.get("tool_calls", ())]
    assert len(ids) == len(set(ids))


BEGUN = {"role": "assistant", "content": "One"}


@pytest.mark.parametrize("said", ["field", "message"])
@pytest.mark.parametrize("form", list(Continuation))
def test_continuation_is_said_in_the_form_of_the_service(said, form):
    fields = {"continue_final_message": True, "add_generation_prompt": False}
    last = BEGUN if said == "field" else BEGUN | {"partial": True}
    made = draft(USER, last, **(fields if said == "field" else {}))
    apply_continuation(made, form)
    told = {name: made.fields[name] for name in fields if name in made.fields}
    assert told == (fields if form is Continuation.FINAL_MESSAGE else {})
    marked = made.messages[-1].get("partial") is True
    assert marked is (form is Continuation.PARTIAL)
    assert made.messages[-1]["content"] == "One"


def test_answer_standing_last_is_no_continuation_unless_said():
    made = draft(USER, BEGUN, continue_final_message=False, add_generation_prompt=True)
    apply_continuation(made, Continuation.PARTIAL)
    assert made.messages[-1] == BEGUN
    assert made.fields["add_generation_prompt"] is True


def test_only_an_answer_can_be_continued():
    with pytest.raises(EngineError, match="only an answer"):
        apply_continuation(draft(USER, continue_final_message=True), Continuation.PARTIAL)
