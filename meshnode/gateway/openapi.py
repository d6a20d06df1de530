"""The OpenAPI document of the HTTP interface, made from the table that its routes are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from meshnode.gateway.endpoints import (
    JSON_TYPE,
    Endpoint,
    Given,
    Listed,
    Plain,
    Schema,
    Streamed,
    get,
)
from meshnode.gateway.guard import OPEN_PATHS
from meshnode.gateway.openai_problems import OPENAI_PREFIX
from meshnode.gateway.problems import OpenAIProblemDocument, ProblemDocument
from meshnode.gateway.streaming import EVENTS_TYPE
from meshnode.views import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPENAPI_PATH: Final = "/api/v1/openapi.json"
_OPENAPI: Final = "3.1.0"
_REF: Final = "#/components/schemas/{name}"
_REFUSALS: Final = {
    400: "What was sent cannot be used.",
    401: "The token is missing or wrong.",
    402: "There is not enough ruv for it.",
    403: "Not allowed.",
    404: "There is no such thing.",
    409: "It contradicts how things stand.",
    413: "It is too large.",
    422: "It contradicts what was sent before under the same key.",
    429: "Too much of it; Retry-After says when to come back.",
    501: "This node has not installed what it takes.",
    502: "A peer or an engine failed.",
    503: "Not now; the message names the phase, Retry-After says when to come back.",
    504: "It took longer than allowed.",
    507: "There is no room for it on this node.",
}
_TAGS: Final = {
    "node": "The node itself, its store and its questions.",
    "blobs": "Content that is too large for a vertex.",
    "decisions": "What the mesh decides together.",
    "members": "Who takes part, who is out, and by what.",
    "market": "Capacity, offered and bid for.",
    "wallet": "Money.",
    "health": "For service managers and monitoring.",
    "openai": "What programs made for OpenAI's interface speak.",
    "mcp": "The Model Context Protocol.",
}


def make_openapi_endpoint(endpoints: Sequence[Endpoint], *, version: str) -> Endpoint:
    """The path that gives the document of these endpoints, and of itself."""
    cached: list[bytes] = []

    async def give(_: web.Request, __: None) -> web.Response:
        if not cached:
            cached.append(msgspec.json.encode(make_document([*endpoints, own], version=version)))
        return web.Response(body=cached[0], content_type=JSON_TYPE)

    own = get(
        OPENAPI_PATH, "This document.", give, Plain(JSON_TYPE, {"type": "object"}), tag="health"
    )
    return own


def make_document(endpoints: Sequence[Endpoint], *, version: str) -> dict[str, Any]:
    """An OpenAPI 3.1 document."""
    components = _make_components(endpoints)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.path, {})
        operations[endpoint.method.lower()] = _describe(endpoint, components)
    used = {endpoint.tag for endpoint in endpoints}
    return {
        "openapi": _OPENAPI,
        "info": {
            "title": "meshnode",
            "version": version,
            "description": "The HTTP interface of a node. Errors have one form: Problem.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": n, "description": text} for n, text in _TAGS.items() if n in used],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


@dataclass(frozen=True, slots=True)
class _Components:
    schemas: dict[str, Schema]
    references: dict[type, Schema]

    def get(self, kind: type) -> Schema:
        """A type's own schema, behind its reference."""
        return self.schemas[self.references[kind]["$ref"].rpartition("/")[2]]


def _make_components(endpoints: Sequence[Endpoint]) -> _Components:
    problems = [_find_problem(endpoint.path) for endpoint in endpoints]
    kinds = list(dict.fromkeys([ProblemDocument, *problems, *_list_types(endpoints)]))
    references, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    return _Components(schemas, dict(zip(kinds, references, strict=True)))


def _list_types(endpoints: Sequence[Endpoint]) -> Iterator[type]:
    for endpoint in endpoints:
        if isinstance(endpoint.takes, type):
            yield endpoint.takes
        if endpoint.unready is not None:
            yield endpoint.unready
        yield from endpoint.problems
        for form in endpoint.gives:
            match form:
                case Listed():
                    yield form.item
                case Streamed():
                    yield from form.items
                case Plain():
                    pass
                case _:
                    yield form


def _describe(endpoint: Endpoint, components: _Components) -> dict[str, Any]:
    name = "_".join(part.strip("{}") for part in endpoint.path.split("/")[1:])
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{name.replace('.', '_')}",
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": list(_list_parameters(endpoint, components)),
        "responses": _describe_responses(endpoint, components),
    }
    if endpoint.path in OPEN_PATHS:
        operation["security"] = []
    if endpoint.upload is not None:
        schema = {"type": "string", "format": "binary"}
        content = {endpoint.upload: {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    elif endpoint.method == "POST" and endpoint.takes is not None:
        operation["requestBody"] = _describe_body(endpoint.takes, components)
    return operation


def _describe_body(takes: type | Schema, components: _Components) -> dict[str, Any]:
    if isinstance(takes, dict):
        return {"required": True, "content": {JSON_TYPE: {"schema": takes}}}
    # An absent body is an empty object, which not every kind of body can be.
    required = bool(components.get(takes).get("required"))
    content = {JSON_TYPE: {"schema": components.references[takes]}}
    return {"required": required, "content": content}


def _list_parameters(endpoint: Endpoint, components: _Components) -> Iterator[dict[str, Any]]:
    for name in endpoint.parameters:
        # Names are never empty, and one that holds a slash is another path.
        schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if not endpoint.takes_query or not isinstance(endpoint.takes, type):
        return
    described = components.get(endpoint.takes)
    for name, schema in described["properties"].items():
        required = name in described.get("required", ())
        parameter = {"name": name, "in": "query", "required": required}
        yield {**parameter, "schema": _leave_out_null(schema)}


def _leave_out_null(schema: Schema) -> Schema:
    """A query cannot say null; it leaves a name out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kinds[0], **rest}


def _describe_responses(endpoint: Endpoint, components: _Components) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for form in endpoint.gives:
        media_type, described = _describe_form(form, components)
        content[media_type] = described
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": content}}
    for status in _list_refusals(endpoint):
        responses[str(status)] = _describe_problem(_REFUSALS[status], endpoint, components)
    if endpoint.unready is not None:
        schema = _stand_alone(endpoint.unready, components)
        responses["503"] = {
            "description": "Not so.",
            "content": {JSON_TYPE: {"schema": schema}},
        }
    responses["default"] = _describe_problem("It failed.", endpoint, components)
    return responses


def _list_refusals(endpoint: Endpoint) -> list[int]:
    statuses = {403, *endpoint.refuses}
    if endpoint.path not in OPEN_PATHS:
        statuses |= {401}
        if endpoint.unready is None:
            statuses |= {503}
    if endpoint.takes is not None or endpoint.parameters:
        statuses |= {400}
    if endpoint.parameters:
        statuses |= {404}
    if endpoint.method == "POST":
        statuses |= {413}
    return sorted(statuses)


def _find_problem(path: str) -> type:
    return OpenAIProblemDocument if path.startswith(OPENAI_PREFIX) else ProblemDocument


def _describe_problem(
    description: str, endpoint: Endpoint, components: _Components
) -> dict[str, Any]:
    forms = [_find_problem(endpoint.path), *endpoint.problems]
    schemas = [components.references[form] for form in forms]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"description": description, "content": {JSON_TYPE: {"schema": schema}}}


def _describe_form(form: Given, components: _Components) -> tuple[str, dict[str, Any]]:
    match form:
        case Plain() if form.media_type == EVENTS_TYPE:
            return form.media_type, {}
        case Plain():
            return form.media_type, {"schema": form.schema}
        case Streamed():
            # A schema is of a whole; what comes piece by piece has one for each piece.
            pieces = [components.references[item] for item in form.items]
            return form.media_type, {"x-items": {"anyOf": pieces}}
        case Listed():
            properties = {
                "schema": {"const": f"meshnode.{form.name}/1"},
                form.name: {"type": "array", "items": components.references[form.item]},
            }
            schema = {"type": "object", "properties": properties, "required": list(properties)}
            return JSON_TYPE, {"schema": schema}
        case _:
            return JSON_TYPE, {"schema": _stand_alone(form, components)}


def _stand_alone(kind: type[View], components: _Components) -> Schema:
    """A view as an answer of its own names its form; inside another it does not."""
    reference = components.references[kind]
    if not kind.schema:
        return reference
    named = {"properties": {"schema": {"const": kind.schema}}, "required": ["schema"]}
    return {"allOf": [reference, named]}
