"""The simulator against theory: formulas are written here, and know nothing of the simulator.

Each figure is a mean over batches, and must lie within its confidence bound of what is known.
"""

from __future__ import annotations

import math
import statistics

import pytest

from simulations.serving.baselines import PowerOfTwo, Random
from simulations.serving.engine import EngineSpec
from simulations.serving.fleet import Paths
from simulations.serving.outcome import Outcome
from simulations.serving.port import PolicyMaker
from simulations.serving.run import ServingWorld
from simulations.serving.traces import Request, Trace
from simulations.streams import Streams

BATCHES = 20
DEVIATIONS = 3.0
"""Standard errors that a mean may be off: a seed in four hundred would fail by bad luck."""
FOR_EVER_MS = 10**9
ENDLESS = 10**12


def run_open(
    requests: list[Request], fleet: list[EngineSpec], make_policy: PolicyMaker, seed: int
) -> list[Outcome]:
    """Requests at one router with no distance to its replicas, and no limit anywhere."""
    paths = Paths(((0.0,) * len(fleet),), jitter_sigma=0.0)
    world = ServingWorld(
        Trace("theory", tuple(requests)),
        fleet,
        paths,
        make_policy,
        Streams(seed),
        patience_ms=FOR_EVER_MS,
        is_open=True,
    )
    world.run()
    assert len(world.outcomes) == len(requests)
    assert not any(outcome.error for outcome in world.outcomes)
    return sorted(world.outcomes, key=lambda outcome: outcome.number)


def draw_arrivals(count: int, rate_per_s: float, seed: int) -> list[float]:
    stream = Streams(seed).get("theory")
    at_s, times = 0.0, []
    for _ in range(count):
        at_s += stream.expovariate(rate_per_s)
        times.append(at_s)
    return times


def make_prefills(count: int, rate_per_s: float, tokens_mean: float, seed: int) -> list[Request]:
    """Poisson arrivals of prompts whose length is exponential, and which have no answer."""
    stream = Streams(seed).get("sizes")
    return [
        Request(number, round(at_s * 1_000), max(1, round(stream.expovariate(1 / tokens_mean))), 1)
        for number, at_s in enumerate(draw_arrivals(count, rate_per_s, seed))
    ]


def assert_mean(values: list[float], expected: float, *, bias: float = 0.0) -> None:
    """The mean of the later nine tenths is what theory says, within its confidence bound."""
    settled = values[len(values) // 10 :]
    size = len(settled) // BATCHES
    means = [statistics.fmean(settled[k * size : (k + 1) * size]) for k in range(BATCHES)]
    error = statistics.stdev(means) / math.sqrt(BATCHES)
    bound = DEVIATIONS * error + bias * expected
    assert abs(statistics.fmean(means) - expected) <= bound
    assert bound < 0.25 * expected, "the bound is too wide to say anything"


def compute_erlang_c(servers: int, load: float) -> float:
    """The probability that a customer of M/M/n waits."""
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


def compute_supermarket(load: float, choices: int) -> float:
    """Mean time in the system of the fixed point, in units of one service."""
    return sum(
        math.pow(load, (choices**k - choices) / (choices - 1))
        for k in range(1, 12)
        if choices**k < 100_000
    )


@pytest.mark.parametrize("load", [0.5, 0.7])
def test_one_prefill_unit_is_the_queue_m_m_1(load: float):
    requests = make_prefills(16_000, load, 10_000.0, seed=1)
    spec = EngineSpec(10_000.0, slots=10**6, memory_tokens=ENDLESS)
    outcomes = run_open(requests, [spec], Random, seed=1)
    assert_mean([one.first_ms / 1_000 for one in outcomes], 1 / (1 - load))


def test_chunks_in_turn_leave_the_mean_of_m_m_1_as_it_is():
    """Processor sharing and first come first served have one mean where sizes are exponential."""
    requests = make_prefills(16_000, 0.7, 10_000.0, seed=2)
    spec = EngineSpec(10_000.0, slots=10**6, memory_tokens=ENDLESS, chunk_tokens=1_000)
    outcomes = run_open(requests, [spec], Random, seed=2)
    assert_mean([one.first_ms / 1_000 for one in outcomes], 1 / (1 - 0.7), bias=0.02)


def test_slots_and_their_queue_are_the_queue_m_m_n():
    servers, load, tokens_mean = 3, 2.1, 1_000.0
    stream = Streams(3).get("sizes")
    requests = [
        Request(number, round(at_s * 1_000), 1, 1 + round(stream.expovariate(1 / tokens_mean)))
        for number, at_s in enumerate(draw_arrivals(24_000, load, 3))
    ]
    spec = EngineSpec(1e9, servers, 1.0, 0.0, memory_tokens=ENDLESS, interference=0.0)
    outcomes = run_open(requests, [spec], Random, seed=3)
    waits_s = [one.first_ms / 1_000 for one in outcomes]
    assert_mean(waits_s, compute_erlang_c(servers, load) / (servers - load))


@pytest.mark.parametrize("choices", [1, 2, 3])
def test_shortest_of_d_meets_the_fixed_point_of_the_supermarket_model(choices: int):
    """Mitzenmacher's limit of many servers; a hundred of them are off by about 1/100."""
    servers, load = 100, 0.7

    class Drawn(PowerOfTwo):
        pass

    Drawn.choices = choices
    requests = make_prefills(20_000, load * servers, 10_000.0, seed=4)
    fleet = [EngineSpec(10_000.0, slots=10**6, memory_tokens=ENDLESS)] * servers
    outcomes = run_open(requests, fleet, Drawn, seed=4)
    expected = compute_supermarket(load, choices) if choices > 1 else 1 / (1 - load)
    assert_mean([one.first_ms / 1_000 for one in outcomes], expected, bias=0.02)


def test_more_than_theory_allows_is_noticed():
    """The negative control: the bounds above reject a service that is a tenth slower."""
    requests = make_prefills(16_000, 0.5, 11_000.0, seed=1)
    spec = EngineSpec(10_000.0, slots=10**6, memory_tokens=ENDLESS)
    outcomes = run_open(requests, [spec], Random, seed=1)
    with pytest.raises(AssertionError):
        assert_mean([one.first_ms / 1_000 for one in outcomes], 2.0)
