"""What /metrics gives: the right names, the right numbers, few labels and nobody's identity."""

from __future__ import annotations

import re

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from meshnode.gateway.http_meter import HttpLoad
from meshnode.gateway.metric_kinds import Scrape
from meshnode.gateway.metric_table import METRICS, NOT_EXPORTED
from meshnode.gateway.metrics import METRICS_PATH, NodeCollector, make_registry
from meshnode.gateway.port import Phase
from meshnode.views import EngineView, ModelView, MoneyInfo
from tests.support.fake_node import open_gateway
from tests.support.readings import make_readings
from tests.support.views import make_consensus, make_status

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
MONEY = MoneyInfo(free_uruv=9_000_000, locked_uruv=1_875_000, open_orders=3, live_contracts=6)
COUNTERS = {
    "bytes_received": 101,
    "bytes_sent": 102,
    "connections_closed": 103,
    "connections_opened": 104,
    "dials": 105,
    "dials_failed": 106,
    "frames_received": 107,
    "frames_sent": 108,
    "handshakes_failed": 109,
    "handshakes_refused": 110,
    "offences": 111,
    "streams_accepted": 112,
    "streams_opened": 113,
    "streams_refused": 114,
}


def make_full_status():
    """A status with a different number in every field that has one."""
    model = ModelView(id="echo", engine="echo", context_tokens=8_192, size_bytes=98_000_000)
    return make_status(
        uptime_ms=61_000,
        members=31,
        peers_ready=30,
        vertices=32,
        heads=33,
        lamport=34,
        quarantined=35,
        forks=36,
        unanswered=37,
        offences={"malformed": 38},
        counters=COUNTERS,
        engine=EngineView(
            name="echo", shareable=True, slots=41, running=42, queued=43, models=(model,)
        ),
        consensus=make_consensus(
            epoch=51,
            round=52,
            lag=53,
            commit_index=54,
            commit_time_ms=55_000,
            waiting=56,
            behind=57,
            idle_ms=58_000,
            quorum=59,
            conflicts=60,
            certified_commit=61,
            pruned_lamport=62,
        ),
        money=MONEY,
        problems=("one", "two"),
    )


def make_scrape(**changes):
    given = {
        "version": "0.1.0",
        "phase": Phase(name="ready", detail="ready", elapsed_ms=1_500),
        "http": HttpLoad([(("/readyz", "200"), 3)], 2),
        "status": make_full_status(),
        "readings": make_readings(),
    }
    return Scrape(**{**given, **changes})


def list_numbers(value, path=""):
    """Every number of a JSON document by its path; lists have no place of their own."""
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield path, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from list_numbers(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from list_numbers(part, path)


def collect(scrape):
    collector = NodeCollector()
    collector.scrape = scrape
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in make_registry(collector).collect()
        for sample in family.samples
    }


def find_metric(path):
    for metric in METRICS:
        for shown in metric.shows:
            if shown == path or (shown.endswith(".*") and path.startswith(shown[:-1])):
                return metric
    return None


def test_every_number_of_the_status_has_a_metric_of_its_name():
    for path, _ in list_numbers(make_full_status().to_json()):
        metric = find_metric(path)
        if metric is None:
            assert path in NOT_EXPORTED, f"status shows {path} and no metric does"
            continue
        word = re.sub(r"_(ms|uruv|sent|received)$", "", path.removesuffix(".malformed"))
        stem = word.rpartition(".")[2]
        renamed = {"free": "ruv", "locked": "ruv", "open_orders": "orders_open"}
        assert renamed.get(stem, stem) in metric.name, f"{path} is exported as {metric.name}"


def is_part(path, labels):
    """Whether a sample is part of the number at this path, where several share a metric."""
    match path.rpartition(".")[2]:
        case "free_uruv":
            return labels["state"] == "free"
        case "locked_uruv":
            return labels["state"] != "free"
        case word if word.startswith(("bytes_", "frames_")):
            return word.endswith(labels["direction"])
    return True


def test_metrics_hold_the_numbers_that_the_status_shows():
    found, scales = collect(make_scrape()), {"ms": 1_000, "uruv": 1_000_000}
    for path, number in list_numbers(make_full_status().to_json()):
        metric = find_metric(path)
        if metric is not None:
            values = [
                value
                for (name, labels), value in found.items()
                if name == metric.name and is_part(path, dict(labels))
            ]
            scale = scales.get(path.rpartition("_")[2], 1)
            assert sum(values) == pytest.approx(number / scale), path


def test_nothing_is_excepted_that_is_exported():
    assert not [path for path in NOT_EXPORTED if find_metric(path)]
    paths = {path for path, _ in list_numbers(make_full_status().to_json())}
    assert set(NOT_EXPORTED) <= paths


def test_names_follow_the_conventions():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"meshnode_[a-z][a-z_]*", metric.name)
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert (metric.kind == "info") == metric.name.endswith("_info")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert not metric.name.endswith(("_ms", "_uruv", "_milliseconds"))
        assert metric.help.endswith(".")
        assert len(metric.labels) <= 2
        assert not {"peer", "author", "account", "key", "instance", "job"} & set(metric.labels)


def test_histograms_count_up_to_each_bound():
    found = collect(make_scrape())
    name = "meshnode_request_duration_seconds"
    assert found[f"{name}_bucket", (("le", "0.1"),)] == 1
    assert found[f"{name}_bucket", (("le", "1.0"),)] == 2
    assert found[f"{name}_bucket", (("le", "+Inf"),)] == found[f"{name}_count", ()] == 3
    assert found[f"{name}_sum", ()] == pytest.approx(5.55)


def test_what_the_node_measures_is_in_base_units():
    found = collect(make_scrape())
    assert found["meshnode_event_loop_lag_seconds", ()] == pytest.approx(0.003)
    assert found["meshnode_spent_ruv_total", ()] == pytest.approx(1.5)
    assert found["meshnode_journal_records_total", ()] == 41
    assert found["meshnode_requests_total", (("model", "none"), ("outcome", "no_peer_serves"))] == 1
    assert found["meshnode_http_requests_total", (("code", "200"), ("route", "/readyz"))] == 3
    assert found["meshnode_phase", (("phase", "ready"),)] == 1
    assert found["meshnode_phase", (("phase", "loading"),)] == 0
    assert found["meshnode_build_info", (("version", "0.1.0"),)] == 1
    assert found["meshnode_consensus_standing", (("standing", "active"),)] == 1


def test_a_process_without_a_node_tells_of_itself_only():
    found = collect(
        make_scrape(
            phase=Phase(name="loading", detail="x", elapsed_ms=2_000), status=None, readings=None
        )
    )
    ours = {name for name, _ in found if name.startswith("meshnode_")}
    assert ours == {
        "meshnode_build_info",
        "meshnode_http_requests_running",
        "meshnode_http_requests_total",
        "meshnode_phase",
        "meshnode_phase_elapsed_seconds",
        "meshnode_ready",
    }
    assert found["meshnode_ready", ()] == 0


def test_a_node_without_engine_order_and_money_leaves_those_out():
    status = make_status(engine=None, consensus=None, money=None)
    names = {name for name, _ in collect(make_scrape(status=status, readings=None))}
    assert "meshnode_vertices" in names
    assert not [name for name in names if "consensus" in name or "engine" in name]


def test_nothing_is_collected_before_the_first_scrape():
    collector = NodeCollector()
    assert not list(collector.collect())
    assert {family.name for family in collector.describe()} == {
        re.sub(r"_(total|info)$", "", metric.name) for metric in METRICS
    }


def test_idle_time_that_is_not_known_is_left_out():
    status = make_status(consensus=make_consensus(idle_ms=None))
    assert ("meshnode_consensus_idle_seconds", ()) not in collect(make_scrape(status=status))


@pytest.fixture
async def gateway():
    async with open_gateway() as (host, gateway), aiohttp.ClientSession() as session:
        host.readings = make_readings()
        host.node.status_view = make_full_status()

        async def fetch(token=None, **headers):
            given = gateway.token.reveal() if token is None else token
            return await session.get(
                f"http://{gateway.api}{METRICS_PATH}",
                headers={"Authorization": f"Bearer {given}", **headers},
            )

        yield host, fetch


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", parse_text),
        ("*/*", "text/plain", parse_text),
        (f"{OPENMETRICS},text/plain;q=0.5", "application/openmetrics-text", parse_openmetrics),
    ],
)
async def test_both_formats_are_spoken(gateway, accept, content_type, parse):
    _, fetch = gateway
    response = await fetch(Accept=accept)
    assert (response.status, response.content_type) == (200, content_type)
    families = {family.name: family for family in parse(await response.text())}
    (sample,) = families["meshnode_peers_ready"].samples
    assert sample.value == 30
    assert "process_cpu_seconds" in families or "process_cpu_seconds_total" in families


async def test_each_scrape_is_of_its_own_moment(gateway):
    host, fetch = gateway
    assert "meshnode_peers_ready 30.0" in await (await fetch()).text()
    host.node.status_view = make_status(peers_ready=7)
    text = await (await fetch()).text()
    assert "meshnode_peers_ready 7.0" in text
    assert 'meshnode_http_requests_total{code="200",route="/metrics"} 1.0' in text
    host.phase = Phase(name="stopping", detail="finishing", elapsed_ms=1)
    text = await (await fetch()).text()
    assert "meshnode_ready 0.0" in text
    assert "\nmeshnode_peers_ready" not in text


async def test_strangers_see_no_metrics_and_nobody_sees_who_is_who(gateway):
    host, fetch = gateway
    response = await fetch(token="wrong")
    assert response.status == 401
    text = await (await fetch()).text()
    status = host.node.status_view
    for secret in (status.author, status.peer_id, status.name, status.heads_digest):
        assert secret not in text


async def test_names_that_others_choose_cannot_break_the_format(gateway):
    host, fetch = gateway
    work = make_readings().work
    hostile = 'a"} 1\n# EOF\n\ud800\\'.encode("utf-8", "replace").decode()
    answers = [((hostile, "peer"), 2)]
    host.readings = make_readings(work=type(work)(**{**vars_of(work), "answers": answers}))
    for accept, parse in (("", parse_text), (OPENMETRICS, parse_openmetrics)):
        text = await (await fetch(Accept=accept)).text()
        families = {family.name: family for family in parse(text)}
        (sample,) = families["meshnode_served_answers"].samples
        assert sample.labels["model"] == hostile


def vars_of(record):
    return {name: getattr(record, name) for name in type(record).__slots__}
