"""Tools: names, counts, nested types, and which may be told to be called."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.engines.base import EngineError
from meshnode.engines.capabilities import find_capabilities
from meshnode.engines.rules.draft import Draft
from meshnode.engines.rules.tools import apply_tool_choice, check_tools, offered_names

K26 = find_capabilities("kimi-k2.6")
K3 = find_capabilities("kimi-k3")
OTHER = find_capabilities("llama-9")
TEXT = {"type": "string"}


def tool(name: Any = "get_weather", **parameters: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": parameters}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def draft(tools: Any, **fields: Any) -> Draft:
    return Draft({"messages": [{"role": "user", "content": "hi"}], "tools": tools, **fields})


@pytest.mark.parametrize(
    "tools",
    [
        [tool()],
        [tool(f"tool_{index}") for index in range(128)],
        [tool("a-_9" + "x" * 60)],
        [tool(city=TEXT, nested={"type": "object", "properties": {"deep": TEXT}})],
        [tool(many={"type": "array", "items": {"type": "object", "properties": {"x": TEXT}}})],
        [tool(either={"anyOf": [TEXT]}, far={"$ref": "#/x"})],
        [{"type": "function", "function": {"name": "bare"}}],
        [{"type": "builtin_function", "function": {"name": "$web_search"}}],
    ],
)
def test_good_tools_pass_untouched(tools):
    made = draft(tools)
    check_tools(made)
    assert made.fields["tools"] is tools


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_left_out(tools):
    made = draft(tools)
    check_tools(made)
    assert "tools" not in made.fields


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([tool(f"tool_{index}") for index in range(129)], "128"),
        ("text", "list"),
        ([5], "tools\\[0\\]"),
        ([{"type": "function", "function": {"name": 5}}], "name"),
        ([tool(), tool()], "both named"),
        ([tool("ab")], "3 to 64"),
        ([tool("9abc")], "named"),
        ([tool("a b c")], "named"),
        ([tool("x" * 65)], "named"),
        ([{"type": "builtin_function", "function": {"name": "search"}}], "builtin"),
        ([tool(city={})], "'city'"),
        ([tool(a={"type": "object", "properties": {"b": {"enum": [1]}}})], "'a.b'"),
        ([tool(a={"type": "array", "items": {}})], "'a.\\[\\]'"),
        ([tool(a=5)], "'a'"),
    ],
)
def test_bad_tools_are_refused_by_name(tools, words):
    with pytest.raises(EngineError, match=words):
        check_tools(draft(tools))


def test_schema_nested_too_deeply_is_refused():
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(40):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(EngineError, match="deeply"):
        check_tools(draft([tool(a=schema)]))


NAMED = {"type": "function", "function": {"name": "get_weather"}}


@pytest.mark.parametrize(
    ("known", "choice"),
    [(K26, "auto"), (K26, "none"), (K3, "required"), (OTHER, "required"), (OTHER, NAMED)],
)
def test_choice_the_family_knows_passes(known, choice):
    made = draft([tool()], tool_choice=choice)
    apply_tool_choice(made, known)
    assert made.fields["tool_choice"] == choice


def test_no_choice_is_left_out():
    made = draft([tool()], tool_choice=None)
    apply_tool_choice(made, K26)
    assert "tool_choice" not in made.fields


@pytest.mark.parametrize(
    ("known", "choice", "tools"),
    [
        (K26, "required", [tool()]),
        (K26, NAMED, [tool()]),
        (K3, NAMED, [tool(), tool("other")]),
        (K3, {"type": "function", "function": 5}, [tool()]),
        (K3, 5, [tool()]),
    ],
)
def test_choice_the_family_refuses_is_refused_here(known, choice, tools):
    with pytest.raises(EngineError, match=r"tool_choice.*it may be auto or none"):
        apply_tool_choice(draft(tools, tool_choice=choice), known)


def test_naming_the_only_tool_is_requiring_one():
    made = draft([tool()], tool_choice=NAMED)
    apply_tool_choice(made, K3)
    assert made.fields["tool_choice"] == "required"
    assert made.notes[0].rule == "tool_choice"


def test_offered_names_read_any_shape():
    assert offered_names([tool(), 5, {"function": 5}]) == ["get_weather"]
    assert offered_names(None) == []
