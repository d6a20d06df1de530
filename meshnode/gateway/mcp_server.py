"""A server of the Model Context Protocol over the tools of `mcp_tools`.

Importing this imports the protocol's library, which takes a second and is an extra.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from meshnode.errors import MeshError
from meshnode.gateway.mcp_reports import list_models, summarise_mesh
from meshnode.gateway.mcp_tools import (
    TOOLS,
    Context,
    Tool,
    call_tool,
    is_worth_repeating,
    list_tools,
    make_schema,
)
from meshnode.gateway.problems import make_problem

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from meshnode.views import View

FindContext = Callable[["ServerRequestContext[Any, Any]"], Context]
"""Whom a request is from. Raises `MeshError` where there is no node now."""

NAME: Final = "meshnode"
JSON_TYPE: Final = "application/json"
INSTRUCTIONS: Final = (
    "A node of a private mesh of machines that share reasoning. mesh_status says which models can "
    "be asked, mesh_ask asks one. Every answer is a signed vertex of a DAG: pass its id as "
    "knowledge to a later question to build on it. What costs money needs max_ruv."
)
STATUS_URI: Final = "mesh://status"
MODELS_URI: Final = "mesh://models"


def make_server(find_context: FindContext) -> Server[Any]:
    """A server; each request is answered for whoever `find_context` says it is from."""
    described = {tool.name: _describe(tool) for tool in TOOLS}

    async def on_list_tools(
        ctx: ServerRequestContext[Any, Any], _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        allowed = list_tools(_find(find_context, ctx).purse)
        return types.ListToolsResult(tools=[described[tool.name] for tool in allowed])

    async def on_call_tool(
        ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        context = _find(find_context, ctx)
        tool = _find_tool(params.name, context)
        try:
            return _show(await call_tool(tool, context, params.arguments))
        except MeshError as error:
            return _show_failure(error)

    async def on_list_resources(
        _: ServerRequestContext[Any, Any], __: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=_list_resources())

    async def on_read_resource(
        ctx: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        read = _RESOURCES.get(str(params.uri))
        if read is None:
            known = ", ".join(_RESOURCES)
            raise MCPError(types.INVALID_PARAMS, f"there is no such resource; there are {known}")
        context = _find(find_context, ctx)
        if not context.purse.may("read"):
            raise MCPError(types.INVALID_REQUEST, "this client may not read")
        try:
            found = await read(context)
        except MeshError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error)) from None
        contents = types.TextResourceContents(
            uri=params.uri, mime_type=JSON_TYPE, text=_encode(found)
        )
        return types.ReadResourceResult(contents=[contents])

    return Server(
        NAME,
        version=version("meshnode"),
        title="meshnode",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda name: (
            described[name].input_schema if name in described else None
        ),
        on_list_tools=on_list_tools,
        on_call_tool=on_call_tool,
        on_list_resources=on_list_resources,
        on_read_resource=on_read_resource,
    )


async def _read_status(context: Context) -> View:
    return summarise_mesh(await context.node.status(), await context.node.peers())


async def _read_models(context: Context) -> View:
    return list_models(await context.node.status(), await context.node.peers())


_RESOURCES: Final[dict[str, Callable[[Context], Awaitable[View]]]] = {
    STATUS_URI: _read_status,
    MODELS_URI: _read_models,
}


def _list_resources() -> list[types.Resource]:
    return [
        types.Resource(
            uri=STATUS_URI,
            name="status",
            title="The node and its mesh",
            mime_type=JSON_TYPE,
        ),
        types.Resource(
            uri=MODELS_URI,
            name="models",
            title="Models that can be asked",
            mime_type=JSON_TYPE,
        ),
    ]


def _describe(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=make_schema(tool.takes),
        output_schema=make_schema(tool.gives),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.reads_only,
            destructive_hint=False,
            idempotent_hint=tool.reads_only,
            open_world_hint=tool.open_world,
        ),
    )


def _find(find_context: FindContext, ctx: ServerRequestContext[Any, Any]) -> Context:
    try:
        return find_context(ctx)
    except MeshError as error:
        raise MCPError(types.INTERNAL_ERROR, str(error)) from None


def _find_tool(name: str, context: Context) -> Tool:
    allowed = list_tools(context.purse)
    for tool in allowed:
        if tool.name == name:
            return tool
    known = ", ".join(tool.name for tool in allowed) or "none"
    raise MCPError(
        types.INVALID_PARAMS, f"this client may not call {name[:64]!r}; it may call {known}"
    )


def _show(given: View) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=_encode(given))],
        structured_content=given.to_json(),
    )


def _show_failure(error: MeshError) -> types.CallToolResult:
    """An error that the model can read: what, why, the next step, and whether to try again."""
    again = " (the same call may succeed a little later)" if is_worth_repeating(error) else ""
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=f"{error}{again}")],
        structured_content=make_problem(error),
        is_error=True,
    )


def _encode(given: View) -> str:
    return msgspec.json.encode(given.to_json()).decode()
