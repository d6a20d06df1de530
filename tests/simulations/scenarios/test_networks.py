"""Presets have the figures they promise, and tables of one's own are named by their content."""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles
from typing import get_args

import pytest
from pydantic import ValidationError

from simulations.kernel import NS_PER_MS
from simulations.latency import Constant, Matrix
from simulations.scenarios import networks
from simulations.scenarios.networks import (
    GBPS,
    MBPS,
    CoreParameters,
    Exponential,
    Preset,
    StablePairs,
    TopologyName,
    WorldParameters,
    describe_world,
    make_settings,
    make_topology,
    make_world,
)
from simulations.streams import Streams

TABLE = "one_way_ms,a,b\na,1,2\nb,3,4\n"


def settings(name: Preset, seed: int = 1):
    return make_settings(WorldParameters(network=name), Streams(seed))


@pytest.mark.parametrize(
    ("name", "jitter", "loss", "uplink_bps"),
    [
        ("ideal", 0.0, 0.0, 0),
        ("lan", 0.0, 0.0, 10 * GBPS),
        ("cloud", 0.05, 0.0001, GBPS),
        ("internet", 0.2, 0.001, 50 * MBPS),
        ("home", 0.65, 0.01, 20 * MBPS),
    ],
)
def test_preset_has_its_figures(name: Preset, jitter: float, loss: float, uplink_bps: int):
    found = settings(name)
    assert (found.jitter_sigma, found.loss, found.uplink_bps) == (jitter, loss, uplink_bps)


def test_presets_have_their_latencies():
    assert settings("ideal").latency == Constant(20.0)
    assert settings("lan").latency == Constant(0.25)
    assert isinstance(cloud := settings("cloud").latency, Matrix)
    assert len(cloud.names) == 13


def test_pairs_of_the_internet_are_like_planetlabs():
    latency, stream = settings("internet").latency, Streams(0).get("unused")
    rtts_ms = [
        2 * latency.sample_ns(one, other, stream) / NS_PER_MS
        for one in range(100)
        for other in range(one)
    ]
    assert median(rtts_ms) == pytest.approx(135, rel=0.05)
    assert quantiles(rtts_ms, n=100)[94] == pytest.approx(325, rel=0.15)


def test_a_pair_keeps_its_latency_whoever_asks_first():
    stream = Streams(0).get("unused")
    one, other = (StablePairs(67.0, 0.6, seed=4) for _ in range(2))
    assert one.sample_ns(1, 2, stream) == one.sample_ns(2, 1, stream)
    other.sample_ns(5, 6, stream)
    assert other.sample_ns(1, 2, stream) == one.sample_ns(1, 2, stream)
    assert StablePairs(67.0, 0.6, seed=5).sample_ns(1, 2, stream) != one.sample_ns(1, 2, stream)


def test_exponential_latency_has_its_mean():
    stream = Streams(0).get("exponential")
    draws = [Exponential(30.0).sample_ns(0, 1, stream) / NS_PER_MS for _ in range(20_000)]
    assert sum(draws) / len(draws) == pytest.approx(30, rel=0.03)


def test_hostile_weather_is_drawn_by_the_seed():
    found = [settings("hostile", seed) for seed in range(30)]
    assert settings("hostile", 3) == found[3]
    assert len({one.loss for one in found}) == 30
    assert all(0 <= one.loss <= 0.3 and 0 <= one.duplicate <= 0.5 for one in found)
    assert all(isinstance(one.latency, Exponential) for one in found)


def test_one_node_in_five_of_the_internet_is_fast():
    world = make_world(WorldParameters(network="internet"), 1, 1_000)
    assert set(world.network.uplinks_bps.values()) == {GBPS}
    assert len(world.network.uplinks_bps) == pytest.approx(200, abs=40)
    assert not make_world(WorldParameters(network="home"), 1, 10).network.uplinks_bps


def test_row_says_what_of_the_real_work_was_done():
    parameters = CoreParameters(network="lan")
    world = make_world(parameters, 1, 2, fidelity="bytes")
    world.add_mesh(2)
    row = describe_world(world, parameters, "real")
    flags = {"network": "lan", "crypto": "real", "bandwidth": True, "processor": True}
    assert flags.items() <= row.items()
    assert row["fidelity"] == "bytes"
    empty = make_world(WorldParameters(), 1, 2)
    bare = describe_world(empty, WorldParameters(), "none")
    assert not bare["bandwidth"]
    assert not bare["processor"]


# --- tables of one's own -------------------------------------------------------------------------


def test_table_takes_the_place_of_the_presets(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    parameters = WorldParameters(network="lan", latency=str(path))
    latency = make_settings(parameters, Streams(1)).latency
    assert latency.sample_ns(1, 0, Streams(1).get("unused")) == 3 * NS_PER_MS
    assert WorldParameters(latency="aws-13").latency_sha256


def test_another_table_under_one_path_is_another_task(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    first = WorldParameters(latency=str(path)).model_dump()
    assert WorldParameters.model_validate(first).model_dump() == first
    path.write_text(TABLE.replace("4", "5"))
    assert WorldParameters(latency=str(path)).latency_sha256 != first["latency_sha256"]
    with pytest.raises(ValidationError, match="is not the one this task was made for"):
        WorldParameters.model_validate(first)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "No such file"),
        ("empty.csv", b"", "a latency table is empty"),
        ("binary.csv", b"\xff", "can't decode"),
        ("mars", None, "no latency table 'mars' comes with the package"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, name: str, content: bytes | None, message: str):
    source = str(tmp_path / name) if name.endswith(".csv") else name
    if content is not None:
        Path(source).write_bytes(content)
    with pytest.raises(ValidationError, match=f"latency: .*{message}"):
        WorldParameters(latency=source)


def test_endless_tables_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "own.csv"
    path.write_text(TABLE)
    monkeypatch.setattr(networks, "TABLE_BYTES_MAX", 3)
    with pytest.raises(ValidationError, match="is larger than"):
        WorldParameters(latency=str(path))


@pytest.mark.parametrize("values", [{"latency": 3}, {"latency_sha256": 3}, [], {"network": 1}])
def test_what_is_no_parameters_is_refused(values: object):
    with pytest.raises(ValidationError):
        WorldParameters.model_validate(values)


# --- topologies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "edges"),
    [
        ("regular", 40 * 6 / 2),
        ("small_world", 40 * 6 / 2),
        ("scale_free", (40 - 3) * 3),
        ("complete", 40 * 39 / 2),
        ("line", 39),
        ("tree", 39),
    ],
)
def test_topologies_by_name(name: TopologyName, edges: float):
    found = make_topology(name, 40, 6, seed=1)
    assert len(found) == 40
    assert sum(map(len, found)) == 2 * edges
    assert make_topology(name, 40, 6, seed=1) == found


def test_every_topology_name_is_tested():
    assert len(get_args(TopologyName)) == 6
