"""The benchmark of order books runs, on as little as it can."""

from __future__ import annotations

import json

import pytest

from benchmarks import bench_market
from benchmarks.peers.order_books import PEERS, VERSIONS


def test_figures_of_all_streams_are_printed(capsys: pytest.CaptureFixture[str]):
    bench_market.main(["--messages", "500", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["core"] * 2 + ["capacity,"] * 4 + ["one"]


def test_json_has_figures_revision_and_machine(capsys: pytest.CaptureFixture[str]):
    bench_market.main(["--messages", "500", "--rounds", "1", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["revision"]
    assert told["cores"]
    core = [figure["trades"] for figure in told["figures"] if figure["stream"] == "core"]
    assert len(core) == 2
    assert core[0] == core[1]
    assert set(told["wait"]) == {"p50_us", "p99_us", "max_us"}


def test_peers_that_are_not_here_are_named_and_left_out(capsys: pytest.CaptureFixture[str]):
    assert list(PEERS) == list(VERSIONS)
    found = bench_market.find_installed()
    missing = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(found + missing) == sorted(PEERS)


def test_command_for_the_peers_can_be_printed(capsys: pytest.CaptureFixture[str]):
    bench_market.main(["--with"])
    assert "--with liquibook==" in capsys.readouterr().out
