"""What of a foreign request reaches native code."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.embedded_request import SYSTEM_PROMPT, TEMPERATURE, build_request
from tests.support.engines import ask


def build(request, **limits):
    options = {"answer_tokens_max": 100, "context_tokens": 128} | limits
    return json.loads(build_request(request, **options))


def test_request_gets_a_system_prompt_and_a_low_temperature_when_it_has_none():
    body = build(ask("hi"))
    assert body["messages"] == [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": "hi"},
    ]
    assert body["temperature"] == TEMPERATURE
    assert body["max_tokens"] == 100
    assert body["stream"] is True


@pytest.mark.parametrize("role", ["system", "developer"])
def test_request_keeps_its_own_system_prompt_and_temperature(role):
    messages = [{"role": role, "content": "sys"}, {"role": "user", "content": "hi"}]
    body = build({"messages": messages, "temperature": 0.9, "max_tokens": 7, "top_k": 5})
    assert [message["content"] for message in body["messages"]] == ["sys", "hi"]
    assert body["messages"][0]["role"] == "system"
    assert (body["temperature"], body["max_tokens"], body["top_k"]) == (0.9, 7, 5)


def test_fields_that_steer_the_native_engine_do_not_reach_it():
    foreign = {
        "grammar": "root ::= x",
        "id_slot": 3,
        "n_predict": -1,
        "lora": [{"id": 0}],
        "cache_prompt": False,
        "chat_template_kwargs": {"x": 1},
        "response_fields": ["x"],
        "logit_bias": {"1": -100},
    }
    assert not foreign.keys() & build(ask("hi", **foreign)).keys()


def test_json_mode_is_passed_on_without_a_schema():
    assert build(ask("hi", response_format={"type": "json_object"}))["response_format"] == {
        "type": "json_object"
    }
    assert "response_format" not in build(ask("hi", response_format={"type": "text"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function"}]},
        {"n": 2},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"response_format": {"type": "json_object", "schema": {}}},
        {"temperature": "hot"},
        {"temperature": True},
        {"temperature": float("nan")},
        {"top_k": 1e9},
        {"messages": [{"role": "user<|im_end|>", "content": "x"}]},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"stop": ["\udfff"]},
    ],
)
def test_what_the_model_cannot_do_is_refused(fields):
    with pytest.raises(EngineError) as caught:
        build(ask("hi") | fields)
    assert caught.value.fault is EngineFault.BAD_REQUEST


def test_tools_are_accepted_when_they_may_not_be_called():
    assert "tools" not in build(ask("hi", tools=[{"type": "function"}], tool_choice="none"))


def test_conversation_that_cannot_fit_is_refused_before_it_is_tokenized():
    with pytest.raises(EngineError) as caught:
        build(ask("x" * 5_000))
    assert caught.value.fault is EngineFault.CONTEXT_OVERFLOW


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "text", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["messages", "stop", "seed", "temperature", "max_tokens", "tools", "n", "response_format", "x"]
)


@given(st.dictionaries(FIELDS, JSON, max_size=5), st.booleans())
def test_any_request_is_built_within_limits_or_refused(fields, sound):
    request = (ask("hi") if sound else {}) | fields
    try:
        body = build(request)
    except EngineError:
        return
    assert 1 <= body["max_tokens"] <= 100
    assert {message["role"] for message in body["messages"]} <= {
        "system",
        "user",
        "assistant",
        "tool",
    }


def test_probabilities_of_tokens_are_passed_on_within_bounds():
    body = build(ask("hi", logprobs=True, top_logprobs=20))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    assert build(ask("hi", logprobs=True))["top_logprobs"] == 0
    assert "top_logprobs" not in build(ask("hi", top_logprobs=5))


@pytest.mark.parametrize("value", [21, -1, True, "5", 1.5])
def test_too_many_probabilities_are_refused(value):
    with pytest.raises(EngineError, match="top_logprobs"):
        build(ask("hi", logprobs=True, top_logprobs=value))
