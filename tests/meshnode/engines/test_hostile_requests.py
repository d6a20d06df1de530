"""Requests of any shape: refused with one clear error, or sent as JSON; never anything else.

A shared engine is asked by peers, so every field of a request may be anything that JSON can hold.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshnode.engines.base import CountMethod, EngineError, TokenCount
from meshnode.engines.context import encode_json
from meshnode.engines.fitting import ContextFitter
from meshnode.engines.http_options import ContextRule
from meshnode.engines.reasoning_memory import ReasoningCollector
from meshnode.engines.registry import create_engine
from meshnode.engines.tool_markers import CALL_BEGIN, SECTION_BEGIN, MarkerReader

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 300)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXT = st.text(max_size=20)


def often(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly the right thing, sometimes anything."""
    return st.one_of(strategy, strategy, strategy, ANY)


FUNCTION = st.fixed_dictionaries({"name": often(TEXT), "arguments": often(TEXT)})
CALL = st.fixed_dictionaries({"id": often(TEXT), "function": often(FUNCTION)})
PART = st.fixed_dictionaries({"type": TEXT}, optional={"text": often(TEXT), "image_url": ANY})
MESSAGE = st.fixed_dictionaries(
    {"role": often(st.sampled_from(["system", "user", "assistant", "tool"]))},
    optional={
        "content": often(TEXT | st.lists(often(PART), max_size=2)),
        "tool_calls": often(st.lists(often(CALL), max_size=2)),
        "tool_call_id": often(TEXT),
        "partial": often(st.booleans()),
        "reasoning_content": often(TEXT),
    },
)
SCHEMA = st.fixed_dictionaries({"properties": often(st.dictionaries(TEXT, ANY, max_size=2))})
TOOL = st.fixed_dictionaries(
    {"type": often(st.just("function"))},
    optional={
        "function": often(
            st.fixed_dictionaries(
                {"name": often(st.just("get_it"))}, optional={"parameters": SCHEMA}
            )
        )
    },
)
REQUEST = st.fixed_dictionaries(
    {"messages": often(st.lists(often(MESSAGE), max_size=5))},
    optional={
        name: often(strategy)
        for name, strategy in {
            "model": st.sampled_from(
                ["auto", "kimi-k2", "kimi-k2.6", "kimi-k3", "kimi-z", "llama"]
            ),
            "temperature": st.floats(0, 2),
            "n": st.just(1),
            "max_tokens": st.integers(1, 99),
            "max_completion_tokens": st.integers(1, 99),
            "stop": st.lists(TEXT, max_size=2),
            "tools": st.lists(often(TOOL), max_size=2),
            "tool_choice": st.sampled_from(["auto", "required"]),
            "thinking": st.just({"type": "disabled"}),
            "reasoning": st.just({"effort": "low"}),
            "reasoning_effort": st.sampled_from(["low", "none"]),
            "chat_template_kwargs": st.just({"thinking": False}),
            "continue_final_message": st.booleans(),
            "provider": st.just({}),
            "plugins": st.just([]),
            "stream_options": st.just({}),
            "meshnode": st.just({"context_rule": "trim"}),
        }.items()
    },
)


ENGINES = [
    create_engine(name, {"base_url": "http://127.0.0.1:1/v1", "model": "kimi-k2.6"})
    for name in ("openai_compatible", "moonshot", "openrouter", "local")
]


@given(engine=st.sampled_from(ENGINES), request=REQUEST)
@settings(max_examples=120, deadline=None)
def test_request_is_refused_or_sent_as_json_and_never_changed(engine, request):
    before = copy.deepcopy(request)
    refused: EngineError | None = None
    try:
        sent = json.loads(encode_json(engine._draft(request).fields))
    except EngineError as error:
        refused = error
    else:
        assert sent["model"]
        assert sent["stream"] is True
        assert "meshnode" not in sent
        engine._draft(request | sent)  # what was made fit fits
    assert refused is None or not refused.may_retry_elsewhere
    assert request == before


class Counter:
    """Counts a token a byte, which is what nothing exceeds."""

    cap_field = "max_tokens"
    follows_rules = True
    refuses_overflow = False

    async def count_draft(self, draft):
        return TokenCount(len(encode_json(draft.messages)), CountMethod.TOKENIZER)


@given(
    engine=st.sampled_from(ENGINES),
    request=REQUEST,
    window=st.integers(1, 600),
    rule=st.sampled_from([ContextRule.REFUSE, ContextRule.TRIM]),
)
@settings(max_examples=120, deadline=None)
async def test_request_fits_or_is_refused(engine, request, window, rule):
    request.pop("meshnode", None)
    refused: EngineError | None = None
    try:
        draft = engine._draft(request)
        await ContextFitter(Counter(), draft, window=window).fit(rule)
    except EngineError as error:
        refused = error
    else:
        asked = engine._draft(request).messages
        trimmed = any(note.rule == "context_trimmed" for note in draft.notes)
        assert (len(draft.messages) < len(asked)) is trimmed
    assert refused is None or not refused.may_retry_elsewhere


DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": often(
            st.sampled_from(["x", SECTION_BEGIN, CALL_BEGIN, SECTION_BEGIN[:9], "<|"]) | TEXT
        ),
        "tool_calls": often(st.lists(often(CALL), max_size=2)),
        "reasoning_content": often(TEXT),
        "reasoning_details": ANY,
    },
)


@given(st.lists(st.tuples(DELTA, st.sampled_from([None, None, "stop"])), max_size=8))
@settings(max_examples=120, deadline=None)
def test_chunks_of_any_content_are_read_without_harm(pieces):
    reader, collector = MarkerReader(["get_it"]), ReasoningCollector()
    for delta, reason in pieces:
        chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        collector.take(reader.take(chunk))
    assert isinstance(collector.reasoning, dict)
    assert isinstance(collector.calls, list)
