"""Tools offered to a model: how many, how named, how described, and which it may be told to call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from meshnode.engines.request import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshnode.engines.capabilities import Capabilities
    from meshnode.engines.rules.draft import Draft

TOOLS_MAX = 128
SCHEMA_DEPTH_MAX = 32
SCHEMA_NODES_MAX = 10_000

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9\-_]{2,63}")
_BUILTIN_NAME = re.compile(r"\$[a-zA-Z0-9\-_]{1,63}")
_SAYS_TYPE = ("type", "$ref", "anyOf", "oneOf", "allOf")


def check_tools(draft: Draft) -> None:
    """Refuse tools the service would refuse, naming the one that is wrong."""
    tools = draft.get("tools")
    if not tools:
        draft.omit("tools")
        return
    if not isinstance(tools, list) or len(tools) > TOOLS_MAX:
        raise bad_request(f"'tools' is not a list of at most {TOOLS_MAX} tools")
    seen: dict[str, int] = {}
    for index, tool in enumerate(tools):
        name = _check_tool(index, tool)
        if name in seen:
            raise bad_request(f"tools[{index}] and tools[{seen[name]}] are both named {name!r}")
        seen[name] = index


def _check_tool(index: int, tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str):
        raise bad_request(f"tools[{index}] is not a function with a name")
    if tool.get("type") == "builtin_function":
        if not _BUILTIN_NAME.fullmatch(name):
            raise bad_request(f"tools[{index}] is a builtin, but is not named like $web_search")
        return name
    if not _NAME.fullmatch(name):
        raise bad_request(
            f"tools[{index}] is named {name[:80]!r}",
            hint="3 to 64 letters, digits, '-' and '_', the first a letter or '_'",
        )
    untyped = _find_untyped(function.get("parameters"))
    if untyped is not None:
        raise bad_request(
            f"the parameter '{untyped[:200]}' of tool {name} has no 'type'",
            hint="give every property a type, nested ones too",
        )
    return name


def _find_untyped(schema: Any) -> str | None:
    """The path of a property without a type; None where all have one."""
    waiting = [("", schema, 0)]
    nodes = 0
    while waiting:
        path, node, depth = waiting.pop()
        nodes += 1
        if depth > SCHEMA_DEPTH_MAX or nodes > SCHEMA_NODES_MAX:
            raise bad_request("the parameters of a tool are nested too deeply or too many")
        for name, child in _children(node):
            where = f"{path}.{name}" if path else name
            if not (isinstance(child, dict) and any(key in child for key in _SAYS_TYPE)):
                return where
            waiting.append((where, child, depth + 1))
    return None


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        return
    properties = node.get("properties")
    if isinstance(properties, dict):
        yield from ((str(name), child) for name, child in properties.items())
    if isinstance(node.get("items"), dict):
        yield "[]", node["items"]


def apply_tool_choice(draft: Draft, known: Capabilities) -> None:
    """Refuse a choice the family refuses: a weaker one would not be what was asked for.

    Telling a model to call the one tool it has is the same as telling it to call any.
    """
    choice = draft.get("tool_choice")
    if choice is None:
        draft.omit("tool_choice")
        return
    if not known.tool_choices or choice in known.tool_choices:
        return
    if isinstance(choice, dict):
        named = choice.get("function")
        name = named.get("name") if isinstance(named, dict) else None
        if "required" in known.tool_choices and [name] == offered_names(draft.get("tools")):
            draft.fields["tool_choice"] = "required"
            draft.note("tool_choice", "tool_choice", "sent as 'required': it is the only tool")
            return
        asked = "a named function"
    else:
        asked = repr(choice)[:40]
    raise bad_request(
        f"'tool_choice' of {draft.model} cannot be {asked}",
        hint=f"it may be {' or '.join(known.tool_choices)}",
    )


def offered_names(tools: Any) -> list[str]:
    """The names of the tools of a request."""
    return [
        str(tool["function"].get("name"))
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
