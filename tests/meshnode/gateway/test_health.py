"""Health: alive, started, ready; what was looked at, and nothing secret."""

from __future__ import annotations

import json

import aiohttp
import pytest

from meshnode.errors import StorageError
from meshnode.gateway.port import Phase
from meshnode.views import EngineView
from tests.support.fake_node import open_gateway
from tests.support.views import make_consensus, make_status


@pytest.fixture
async def service():
    async with open_gateway() as (host, gateway), aiohttp.ClientSession() as session:

        async def ask(path):
            async with session.get(f"http://{gateway.api}{path}") as response:
                return response.status, await response.json()

        yield host, ask


def make_well(**changes):
    return make_status(problems=(), members=3, peers_ready=2, **changes)


async def test_ready_node_is_ready_and_lists_its_checks_where_asked(service):
    host, ask = service
    host.node.status_view = make_well(consensus=make_consensus())
    status, data = await ask("/readyz")
    assert (status, data["ready"], data["checks"]) == (200, True, [])
    for query in ("?verbose", "?verbose=1", "?verbose=true"):
        status, data = await ask(f"/readyz{query}")
        assert status == 200
        names = [check["name"] for check in data["checks"]]
        assert names == ["phase", "node", "publishing", "peers", "order", "engine", "problems"]
    assert all(check["ok"] for check in data["checks"])
    assert (await ask("/readyz?verbose=0"))[1]["checks"] == []
    assert (await ask("/readyz?loud"))[0] == 400


async def test_node_that_loads_is_not_ready_but_live(service):
    host, ask = service
    host.phase = Phase(name="loading", detail="loading engine", elapsed_ms=61_500)
    status, data = await ask("/readyz?verbose")
    assert (status, data["phase"]) == (503, "loading")
    (check,) = data["checks"]
    assert (check["ok"], check["detail"]) == (False, "loading for 61 s")
    assert (await ask("/startupz"))[0] == 503
    assert (await ask("/livez"))[0] == 200


async def test_node_that_cannot_tell_its_state_is_not_ready_and_says_no_more(service):
    host, ask = service
    host.node.fails = StorageError("/home/ada/journal.db is broken")
    status, data = await ask("/readyz?verbose")
    assert (status, data["ready"]) == (503, False)
    assert data["checks"][1]["detail"] == "the node does not tell its state (storage_error)"
    assert "journal" not in json.dumps(data)
    assert (await ask("/startupz"))[0] == 200


async def test_node_whose_key_another_one_uses_is_not_ready(service):
    host, ask = service
    host.node.status_view = make_well(publishing="forked")
    assert (await ask("/readyz"))[0] == 503


@pytest.mark.parametrize(
    ("changes", "name", "detail"),
    [
        ({"peers_ready": 0}, "peers", "0 of 2 connected"),
        ({"consensus": make_consensus(halted="too many lie")}, "order", "active, 1 waiting"),
        (
            {"engine": EngineView(name="e", shareable=True, slots=4, running=1, queued=0)},
            "engine",
            "1 of 4 slots busy",
        ),
        ({"problems": ("dial of 10.0.0.7 failed",)}, "problems", "1; `meshnode status` names them"),
    ],
)
async def test_what_a_node_can_live_with_is_told_and_does_not_stop_it(
    service, changes, name, detail
):
    host, ask = service
    host.node.status_view = make_status(**{"members": 3, "peers_ready": 2, **changes})
    status, data = await ask("/readyz?verbose")
    assert (status, data["ready"]) == (200, True)
    (check,) = (check for check in data["checks"] if check["name"] == name)
    assert (check["ok"], check["required"], check["detail"]) == (False, False, detail)
    assert "10.0.0.7" not in json.dumps(data)


async def test_nothing_that_health_says_names_anybody(service):
    host, ask = service
    view = host.node.status_view = make_well(consensus=make_consensus())
    told = json.dumps([await ask(path) for path in ("/livez", "/startupz", "/readyz?verbose")])
    for word in (view.name, view.author, view.peer_id, view.network, view.network_name):
        assert word not in told
