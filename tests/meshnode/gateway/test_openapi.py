"""The OpenAPI document says what the routes are, no more and no less."""

from __future__ import annotations

import json
import re

import aiohttp
import pytest

from meshnode.gateway.app import Gateway
from meshnode.gateway.endpoints import Plain, get, post
from meshnode.gateway.guard import OPEN_PATHS
from meshnode.gateway.openapi import OPENAPI_PATH, make_document
from tests.support.fake_node import FakeHost, open_gateway


@pytest.fixture
async def document():
    async with open_gateway() as (_, gateway), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {gateway.token.reveal()}"}
        address = f"http://{gateway.api}{OPENAPI_PATH}"
        kept = []
        for _ in range(2):  # the second one is kept from the first
            async with session.get(address, headers=headers) as response:
                assert response.status == 200
                kept.append(await response.json())
        assert kept[0] == kept[1]
        return kept[0]


def list_routes():
    """Every route of a gateway, but for the HEAD that comes with each GET."""
    gateway = Gateway(FakeHost(), api="127.0.0.1:0")
    return {
        (route.method, route.resource.canonical)
        for route in gateway._runner.app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }


def walk(value):
    yield value
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from walk(part)


async def test_document_has_every_route_and_no_other(document):
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == list_routes()


async def test_document_is_complete_in_itself(document):
    assert document["openapi"] == "3.1.0"
    references = {
        part["$ref"] for part in walk(document) if isinstance(part, dict) and "$ref" in part
    }
    assert references
    for reference in references:
        found = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\w+", name) for name in names)
    assert {tag for operation in operations for tag in operation["tags"]} == {
        tag["name"] for tag in document["tags"]
    }
    assert all(operation["summary"].endswith(".") for operation in operations)


async def test_open_paths_are_described_as_open(document):
    described = {
        path
        for path, operations in document["paths"].items()
        if operations["get" if "get" in operations else "post"].get("security") == []
    }
    assert described == set(OPEN_PATHS)


async def test_every_path_says_what_it_takes_gives_and_how_it_fails(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"]["200"]["content"], path
            assert "default" in operation["responses"]
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert "requestBody" not in operation or method == "post"


async def test_queries_leave_names_out_instead_of_null(document):
    parameters = document["paths"]["/api/v1/market/trades"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name["account"]["schema"] == {"type": "string", "maxLength": 256}
    assert by_name["limit"]["schema"]["maximum"] == 1_000
    assert not by_name["limit"]["required"]
    needed = document["paths"]["/api/v1/market/book"]["get"]["parameters"]
    assert [parameter["required"] for parameter in needed] == [True, False]


async def test_views_name_their_form_where_they_stand_alone(document):
    found = document["paths"]["/api/v1/status"]["get"]["responses"]["200"]["content"]
    status, named = found["application/json"]["schema"]["allOf"]
    assert status == {"$ref": "#/components/schemas/NodeStatus"}
    assert named["properties"]["schema"] == {"const": "meshnode.status/1"}
    assert "schema" not in document["components"]["schemas"]["Finality"]["properties"]
    peers = document["paths"]["/api/v1/peers"]["get"]["responses"]["200"]["content"]
    assert peers["application/json"]["schema"]["properties"]["schema"] == {
        "const": "meshnode.peers/1"
    }


async def test_answers_that_go_on_name_the_kinds_of_their_pieces(document):
    ask = document["paths"]["/api/v1/ask"]["post"]["responses"]["200"]["content"]
    assert set(ask) == {"application/json", "application/x-ndjson"}
    pieces = ask["application/x-ndjson"]["x-items"]["anyOf"]
    assert {"$ref": "#/components/schemas/Finished"} in pieces
    assert {"Started", "Delta", "Finished"} <= set(document["components"]["schemas"])


async def nothing(_request, _taken):
    raise AssertionError


def test_foreign_forms_stand_as_they_were_given():
    body = {"type": "object", "properties": {"model": {"type": "string"}}}
    endpoints = [
        post("/v1/x", "X.", nothing, Plain("text/plain", {"type": "string"}), takes=body),
        get("/livez", "Y.", nothing, Plain("text/plain", {"type": "string"}), refuses=(429,)),
    ]
    document = make_document(endpoints, version="1")
    described = document["paths"]["/v1/x"]["post"]
    assert described["requestBody"]["content"]["application/json"]["schema"] == body
    assert described["responses"]["200"]["content"] == {
        "text/plain": {"schema": {"type": "string"}}
    }
    assert "429" in document["paths"]["/livez"]["get"]["responses"]
    assert "401" not in document["paths"]["/livez"]["get"]["responses"]


async def test_what_a_node_answers_fits_the_document(document):
    """The views of the fake node, decoded by the types that the document was made from."""
    async with open_gateway() as (_, gateway), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {gateway.token.reveal()}"}
        for path, operations in document["paths"].items():
            if "get" not in operations or "{" in path or path.endswith(("events", "/mcp")):
                continue
            content = operations["get"]["responses"]["200"]["content"]
            schema = next(iter(content.values())).get("schema", {})
            named = schema.get("allOf", [schema])[-1]
            query = "?model=x" if path.endswith("/book") else ""
            async with session.get(f"http://{gateway.api}{path}{query}", headers=headers) as answer:
                assert answer.status == 200, path
                if "json" in answer.content_type and "properties" in named:
                    data = json.loads(await answer.read())
                    assert set(named["required"]) <= set(data)
                    form = named["properties"]["schema"]["const"]
                    assert data["schema"] == form
