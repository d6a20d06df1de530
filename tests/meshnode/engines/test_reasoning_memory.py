"""Reasoning is given back to the very conversation it belongs to, and to no other."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.engines import reasoning_memory
from meshnode.engines.reasoning_memory import ReasoningCollector, ReasoningMemory
from meshnode.engines.rules.draft import Draft

USER = {"role": "user", "content": "hi"}


def call(arguments: str = "{}", call_id: str = "x") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "go", "arguments": arguments}}


def replayed(memory: ReasoningMemory, *messages: Any, expected: bool = True) -> Draft:
    draft = Draft({"messages": list(messages)})
    memory.replay(draft, expected=expected)
    return draft


def remembering(*messages: Any, arguments: str = "{}") -> ReasoningMemory:
    memory = ReasoningMemory()
    memory.keep(list(messages), [call(arguments)], {"reasoning_content": "hm"})
    return memory


@pytest.mark.parametrize("content", [None, "", "said beside"])
def test_ids_and_contents_that_clients_rewrite_do_not_matter(content):
    memory = remembering(USER)
    answer = {"role": "assistant", "content": content, "tool_calls": [call(call_id="renamed")]}
    draft = replayed(memory, USER, answer)
    assert draft.messages[1]["reasoning_content"] == "hm"
    assert draft.notes == []


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "other"}, {"role": "assistant", "tool_calls": [call()]}],
        [USER, {"role": "assistant", "tool_calls": [call('{"a": 1}')]}],
        [{"role": "assistant", "tool_calls": [call()]}],
        [USER, USER, {"role": "assistant", "tool_calls": [call()]}],
    ],
)
def test_other_conversation_gets_nothing(messages):
    draft = replayed(remembering(USER), *messages)
    assert not any("reasoning_content" in message for message in draft.messages)
    assert draft.notes[0].rule == "reasoning_missing"
    assert replayed(remembering(USER), *messages, expected=False).notes == []


def test_reasoning_that_is_sent_back_stays_as_it_is():
    own = {"role": "assistant", "tool_calls": [call()], "reasoning_content": "mine"}
    draft = replayed(remembering(USER), USER, own, {"role": "assistant", "content": "no calls"})
    assert draft.messages[1] == own


def test_second_turn_is_found_whether_or_not_the_first_kept_its_reasoning():
    first = {"role": "assistant", "tool_calls": [call()], "reasoning_content": "hm"}
    result = {"role": "tool", "tool_call_id": "x", "content": "done"}
    memory = remembering(USER, first, result, arguments='{"n": 2}')
    bare = {"role": "assistant", "tool_calls": [call()]}
    second = {"role": "assistant", "tool_calls": [call('{"n": 2}')]}
    draft = replayed(memory, USER, bare, result, second)
    assert draft.messages[3]["reasoning_content"] == "hm"


def test_memory_is_bounded_in_entries_and_bytes(monkeypatch):
    memory = ReasoningMemory()
    for number in range(300):
        memory.keep([{"role": "user", "content": str(number)}], [call()], {"reasoning": "r"})
    assert len(memory) == reasoning_memory.ENTRIES_MAX
    monkeypatch.setattr(reasoning_memory, "BYTES_MAX", 1_000)
    memory.keep([USER], [call()], {"reasoning": "r" * 900})
    assert len(memory) < 10
    monkeypatch.setattr(reasoning_memory, "ENTRY_BYTES_MAX", 100)
    memory.keep([USER, USER], [call()], {"reasoning": "r" * 900})
    assert not replayed(memory, USER, USER, {"role": "assistant", "tool_calls": [call()]}).get("x")


def test_nothing_is_kept_without_calls_or_reasoning():
    memory = ReasoningMemory()
    memory.keep([USER], [], {"reasoning": "r"})
    memory.keep([USER], [call()], {})
    memory.keep([USER], [call()], {"reasoning": "a"})
    memory.keep([USER], [call()], {"reasoning": "b"})
    assert len(memory) == 1


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def test_collector_gathers_what_streams():
    collector = ReasoningCollector()
    pieces: list[Any] = [
        delta(reasoning_content="h", reasoning="H"),
        delta(reasoning_content="m", reasoning_details=[{"text": "h"}]),
        delta(tool_calls=[{"index": 1, "function": {"name": "b", "arguments": "{"}}]),
        delta(tool_calls=[{"index": 1, "function": {"arguments": "}"}}, {"index": 0}]),
        delta(tool_calls=[{"index": 999}, {"index": "x"}, 5]),
        {"choices": [{"index": 1, "delta": {"reasoning": "other"}}, {"index": 0, "delta": None}]},
    ]
    for piece in pieces:
        collector.take(piece)
    assert collector.reasoning == {
        "reasoning_content": "hm",
        "reasoning": "H",
        "reasoning_details": [{"text": "h"}],
    }
    assert [made["function"]["arguments"] for made in collector.calls] == ["", "{}"]


def test_collector_keeps_nothing_of_what_is_too_large(monkeypatch):
    monkeypatch.setattr(reasoning_memory, "ENTRY_BYTES_MAX", 10)
    collector = ReasoningCollector()
    collector.take(delta(reasoning="x" * 11, reasoning_details=[{}]))
    collector.take(delta(tool_calls=[{"index": 0, "function": {"name": "go"}}]))
    assert collector.reasoning == {}
