"""Results that are known from elsewhere: queueing theory, epidemics, counting, measured networks.

Expected values are computed here, from textbook formulas and other people's algorithms, with none
of the library's own arithmetic.
"""

from __future__ import annotations

import math
from statistics import fmean, median

import networkx as nx
import pytest

from simulations.latency import Constant, load_latency
from simulations.models import (
    FloodResult,
    run_epidemic,
    run_flood,
    run_infect_and_die,
    run_queue,
    run_rounds,
    throw_balls,
)
from simulations.network import NetworkSettings
from simulations.streams import Streams
from simulations.topology import Topology, random_regular

AWS = load_latency("aws-13")


def harmonic(count: int) -> float:
    return sum(1 / n for n in range(1, count + 1))


# --- V1, V24: queues -----------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "customers"), [(0.5, 100_000), (0.8, 150_000), (0.9, 400_000)])
def test_v1_time_in_an_mm1_queue_is_erlangs(load: float, customers: int):
    result = run_queue(1, load, customers)
    assert result.time_in_system_s == pytest.approx(1 / (1 - load), rel=0.03)
    assert result.customers == customers


def test_v24_littles_law_holds_to_the_nanosecond():
    flow = run_queue(3, 0.7, 20_000).flow
    assert flow.served == 20_000
    assert flow.item_ns == flow.stayed_ns


# --- V4: the power of two choices ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("bins", "choices", "expected"),
    [
        (1_000, 1, range(4, 9)),
        (10_000, 1, range(6, 10)),
        (100_000, 1, range(7, 11)),
        (1_000, 2, range(3, 5)),
        (10_000, 2, range(3, 5)),
        (100_000, 2, range(3, 5)),
    ],
)
def test_v4_fullest_bin(bins: int, choices: int, expected: range):
    assert throw_balls(Streams(bins).get("balls"), bins, choices) in expected


# --- V5, V16, V17: flooding ----------------------------------------------------------------------


@pytest.mark.parametrize(("count", "degree"), [(200, 4), (1_000, 8), (1_000, 6)])
def test_v5_a_flood_is_received_as_often_as_counting_says(count: int, degree: int):
    result = run_flood(1, random_regular(count, degree, seed=2), NetworkSettings())
    assert result.covered == count
    # The origin sends to all its neighbours, everybody else to all but one.
    assert result.receptions == degree + (count - 1) * (degree - 1)


def find_shortest_ms(topology: Topology, origin: int) -> list[float]:
    """Dijkstra's distances over the table's one-way latencies."""
    rows = [line.split(",")[1:] for line in table_lines()]
    graph = nx.DiGraph()
    for node, near in enumerate(topology):
        for other in near:
            graph.add_edge(node, other, weight=float(rows[node % 13][other % 13]))
    distances = nx.single_source_dijkstra_path_length(graph, origin)
    return sorted(distance for node, distance in distances.items() if node != origin)


def table_lines() -> list[str]:
    from importlib import resources

    text = (resources.files("simulations") / "data" / "aws-13.csv").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")][1:]


@pytest.mark.parametrize("origin", [0, 7, 500])
def test_v16_a_flood_takes_the_shortest_paths(origin: int):
    topology = random_regular(1_000, 8, seed=origin)
    result = run_flood(1, topology, NetworkSettings(latency=AWS), origin=origin)
    assert list(result.delays_ms) == pytest.approx(find_shortest_ms(topology, origin), abs=1e-6)


def flood_from_every_region(count: int, degree: int, **options: int) -> list[FloodResult]:
    """One flood from each region, each over a graph of its own."""
    wait_ms, size_bytes = options.get("wait_ms", 0), options.get("size_bytes", 0)
    network = NetworkSettings(latency=AWS, uplink_bps=options.get("uplink_bps", 0))
    return [
        run_flood(
            region,
            random_regular(count, degree, seed=region),
            network,
            origin=region,
            wait_ms=wait_ms,
            size_bytes=size_bytes,
        )
        for region in range(13)
    ]


def quantiles(results: list[FloodResult]) -> list[float]:
    """Median, p95 and p99 of the delay, as the mean over floods."""
    return [
        fmean(r.delays_ms[int(share * len(r.delays_ms))] for r in results)
        for share in (0.5, 0.95, 0.99)
    ]


@pytest.mark.parametrize(
    ("degree", "options", "expected"),
    [
        (8, {}, (119, 174, 191)),
        (6, {}, (164, 227, 250)),
        (12, {}, (88, 143, 154)),
        (8, {"wait_ms": 50}, (319, 408, 439)),
        (8, {"size_bytes": 131_072, "uplink_bps": 50_000_000}, (462, 570, 608)),
    ],
)
def test_v16_gossip_over_the_aws_table(degree: int, options: dict, expected: tuple[int, ...]):
    results = flood_from_every_region(1_000, degree, **options)
    assert all(result.covered == 1_000 for result in results)
    assert quantiles(results) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 6.0), ({"size_bytes": 131_072, "uplink_bps": 50_000_000}, 5.0)],
)
def test_v17_duplicates_lie_between_the_bounds(options: dict, expected: float):
    results = flood_from_every_region(1_000, 8, **options)
    duplicates = fmean(result.receptions / 1_000 for result in results) - 1
    assert (8 - 2) / 2 <= duplicates <= 8 - 2 + 0.002
    assert duplicates == pytest.approx(expected, abs=0.1)


# --- V7, V9, V11: rumours ------------------------------------------------------------------------


def solve_final_size(fanout: int) -> float:
    """The root of s = 1 - e^(-F s) above 0."""
    share = 0.9
    for _ in range(200):
        share = 1 - math.exp(-fanout * share)
    return share


@pytest.mark.parametrize("fanout", [2, 3, 4, 5, 8])
def test_v7_infect_and_die_reaches_the_final_size(fanout: int):
    shares = [run_infect_and_die(seed, 5_000, fanout, origins=10) for seed in range(5)]
    assert fmean(shares) == pytest.approx(solve_final_size(fanout), abs=0.006)


@pytest.mark.parametrize("count", [1_000, 4_000])
def test_v9_push_takes_log2_plus_ln_rounds(count: int):
    rounds = median(run_rounds(seed, count, pulls=False) for seed in range(5))
    assert rounds == pytest.approx(math.log2(count) + math.log(count) + 1, abs=2)


def test_v9_push_and_pull_takes_log3_rounds():
    rounds = median(run_rounds(seed, 1_000, pulls=True) for seed in range(5))
    expected = math.log(1_000, 3) + math.log(math.log(1_000))
    assert rounds == pytest.approx(expected + 1, abs=2)


def test_v11_an_epidemic_follows_the_logistic_curve():
    count, runs = 1_000, 20
    histories = [run_epidemic(seed, count, latency=Constant(0)) for seed in range(runs)]
    # The first few infections make nearly all of the spread: sums of 1/i^2 to pi^2/6.
    error_s = math.pi / math.sqrt(6 * runs)
    until_all_s = fmean(times[-1] for times in histories)
    expected_s = 2 * (count - 1) / count * harmonic(count - 1)
    assert until_all_s == pytest.approx(expected_s, abs=3 * math.sqrt(2) * error_s)
    until_half_s = fmean(times[count // 2] for times in histories)
    assert until_half_s == pytest.approx(expected_s / 2, abs=3 * error_s)
    # From 10 % to 90 % the curve n / (1 + (n-1) e^-t) takes 2 ln 9, whenever it began.
    rise_s = fmean(times[900] - times[100] for times in histories)
    assert rise_s == pytest.approx(2 * math.log(9), rel=0.03)
