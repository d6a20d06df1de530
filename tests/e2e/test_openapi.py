"""A running node answers as its document says, whatever it is sent: schemathesis drives it."""

from __future__ import annotations

import json
import urllib.request
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support.program import open_machine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries that it brings along
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks as conformance

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LEFT_OUT = {
    "/api/v1/shutdown": "it would end the node",
    "/api/v1/events": "it never ends",
    "/api/v1/market/events": "it never ends",
}
NEGATIVE = GenerationMode.NEGATIVE
EXAMPLES = {GenerationMode.POSITIVE: 4, NEGATIVE: 2}
WAIT_MS = 50
LINE_BYTES_MAX = 8_000
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_schema_conformance,
]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """(base URL, headers) of a node that answers with an echo."""
    with open_machine(tmp_path_factory.mktemp("openapi") / "home") as machine:
        machine.up("--engine", "echo")
        record = json.loads((machine.home / "runtime.json").read_text(encoding="utf-8"))
        yield f"http://{record['api']}", {"Authorization": f"Bearer {record['token']}"}


@pytest.fixture(scope="module")
def schema(node):
    base, headers = node
    request = urllib.request.Request(f"{base}/api/v1/openapi.json", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        document = json.load(response)
    del document["security"]  # else it makes up tokens
    return schemathesis.openapi.from_dict(document)


def shorten(case):
    """Waits that are allowed to be long are none here."""
    for part in (case.query, case.body):
        if isinstance(part, dict):
            for name in ("wait_ms", "timeout_ms"):
                if isinstance(part.get(name), int) and part[name] > WAIT_MS:
                    part[name] = WAIT_MS


@pytest.mark.parametrize("mode", list(EXAMPLES), ids=lambda mode: mode.value)
def test_node_answers_as_its_document_says(node, schema, mode):
    base, headers = node
    driven = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        # Any text is a name in a path: without a query or a body nothing can be wrong.
        can_be_wrong = any(operation.query) or any(operation.body)
        if operation.path in LEFT_OUT or (mode is NEGATIVE and not can_be_wrong):
            continue
        driven += drive(operation, mode, base, headers)
    assert driven >= 30


def drive(operation, mode, base, headers):
    """Send examples of one operation; answers how many there were."""
    sent = []

    @seed(7)
    @settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case):
        shorten(case)
        response = case.call(base_url=base, headers=headers, timeout=30)
        sent.append(response.status_code)
        assert response.status_code != 500, response.text
        if len(response.request.url) > LINE_BYTES_MAX:
            return  # no path was found: HTTP itself refuses such a line
        checks = CHECKS
        if mode is NEGATIVE and operation.path.startswith("/api/"):
            checks = [*CHECKS, conformance.negative_data_rejection]
        case.validate_response(response, checks=checks)

    send()
    return len(sent)
