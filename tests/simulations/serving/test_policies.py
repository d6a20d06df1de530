"""Every policy picks as it was published, and all live behind one port."""

from __future__ import annotations

import random

import pytest

from simulations.errors import BadModel
from simulations.serving.baselines import (
    Baseline,
    PowerOfTwo,
    Random,
    RoundRobin,
    ShortestOfTwo,
    ShortestQueue,
)
from simulations.serving.policies import OURS, POLICIES, SHORT, find_policy
from simulations.serving.port import Attempt, Placement, Policy, Refusal, Status
from simulations.serving.published import CacheAware, Gorgo, HotCold, LMetric, PeakEwma
from simulations.serving.traces import Request

REQUEST = Request(0, 0, 2_048, 10, (1, 2, 3, 4))


def tell(
    policy: Policy, replica: int, *, running: int = 0, tokens: int = 0, latency_ms: float = 0.0
) -> None:
    policy.on_status(0, replica, Status(1, 8, running, 0, tokens, 0.0, latency_ms), None)


def choose(policy: Policy, request: Request = REQUEST, now_ms: int = 0) -> int:
    where = policy.choose(now_ms, request, 60_000)
    assert isinstance(where, Placement)
    return where.replica


def send(policy: Policy, number: int, replica: int, request: Request = REQUEST) -> Attempt:
    attempt = Attempt(number, request, replica, 0)
    policy.on_sent(0, attempt)
    return attempt


def stream() -> random.Random:
    return random.Random(1)


def test_random_asks_everybody():
    policy = Random(4, stream())
    assert sorted(dict.fromkeys(choose(policy) for _ in range(100))) == [0, 1, 2, 3]


def test_round_robin_takes_turns_and_skips_who_failed():
    policy = RoundRobin(3, stream())
    turns = [choose(policy) for _ in range(6)]
    assert turns[:3] == turns[3:]
    assert sorted(turns[:3]) == [0, 1, 2]
    policy.on_failed(0, send(policy, 1, 1), "unreachable", 0)
    assert 1 not in [choose(policy) for _ in range(6)]


def test_power_of_two_prefers_who_has_fewer_own_requests():
    policy = PowerOfTwo(2, stream())
    tell(policy, 1, running=50)
    send(policy, 1, 0)
    assert {choose(policy) for _ in range(20)} == {1}


def test_shortest_queue_believes_reports():
    policy = ShortestQueue(3, stream())
    for replica, running in enumerate((5, 2, 9)):
        tell(policy, replica, running=running)
    assert choose(policy) == 1
    nothing_known = ShortestOfTwo(2, stream())
    assert {choose(nothing_known) for _ in range(30)} == {0, 1}


def test_shortest_of_two_looks_at_two():
    policy = ShortestOfTwo(3, stream())
    for replica, running in enumerate((0, 5, 9)):
        tell(policy, replica, running=running)
    assert sorted(dict.fromkeys(choose(policy) for _ in range(60))) == [0, 1]


def test_peak_ewma_remembers_peaks_and_forgets_them_slowly():
    policy = PeakEwma(2, stream())
    for replica, latency_ms in ((0, 4_000), (1, 1_000)):
        attempt = send(policy, replica, replica)
        policy.on_first(latency_ms, attempt)
        policy.on_end(latency_ms, attempt)
    assert choose(policy, now_ms=4_000) == 1
    for number in range(2, 40):
        send(policy, number, 1)
    assert choose(policy, now_ms=4_000) == 0


def test_peak_ewma_waits_for_the_first_answer_of_who_never_answered():
    policy = PeakEwma(2, stream())
    attempt = send(policy, 1, 0)
    policy.on_first(9_000, attempt)
    send(policy, 2, 1)
    assert choose(policy, now_ms=9_000) == 0


def test_hot_cold_takes_the_fastest_cold_one_or_the_least_hot_one():
    policy = HotCold(3, stream())
    tell(policy, 0, running=1, latency_ms=900)
    tell(policy, 1, running=2, latency_ms=100)
    tell(policy, 2, running=9, latency_ms=10)
    assert choose(policy) == 1
    even = HotCold(2, stream())
    tell(even, 0, running=3, latency_ms=900)
    tell(even, 1, running=3, latency_ms=1)
    assert {choose(even) for _ in range(20)} == {0, 1}


def test_lmetric_multiplies_tokens_and_requests():
    policy = LMetric(2, stream())
    tell(policy, 0, running=3, tokens=0)
    tell(policy, 1, running=1, tokens=2_048)
    policy.on_digest(0, 0, [], [])
    assert choose(policy) in (0, 1)
    policy.on_digest(0, 0, [1, 2], [])
    assert choose(policy) == 0


def test_gorgo_weighs_distance_prompt_and_queue():
    policy = Gorgo(2, stream())
    assert isinstance(policy, Baseline)
    for sequence in range(1, 60):
        policy.on_status(0, 0, Status(sequence, 8, 0, 0, 0, 0.0, 0.0), 200.0)
        policy.on_status(0, 1, Status(sequence, 8, 0, 0, 0, 0.0, 0.0), 10.0)
    assert choose(policy) == 1
    policy.on_digest(0, 0, [1, 2], [])
    assert choose(policy) == 0
    policy.on_status(0, 0, Status(100, 8, 0, 0, 5_000, 0.0, 0.0), None)
    assert choose(policy) == 1


def test_cache_aware_goes_by_match_then_room_then_balance():
    policy = CacheAware(2, stream())
    send(policy, 1, 0)
    assert choose(policy) == 0
    assert choose(policy, Request(1, 0, 512, 1, (9,))) == 1
    assert choose(policy, Request(1, 0, 100, 1)) == 1
    for number in range(2, 80):
        send(policy, number, 0)
    assert choose(policy) == 1


def test_cache_aware_remembers_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CacheAware, "TREE_BLOCKS_MAX", 4)
    policy = CacheAware(2, stream())
    send(policy, 1, 0)
    send(policy, 2, 0, Request(1, 0, 1_024, 1, (7, 8)))
    assert choose(policy, Request(2, 0, 1_536, 1, (1, 2, 9))) == 0
    assert choose(policy, Request(2, 0, 2_560, 1, (1, 2, 3, 4, 5))) == 0
    send(policy, 3, 1, Request(1, 0, 512, 1, (5,)))
    assert choose(policy, Request(2, 0, 1_024, 1, (3, 4))) == 1


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_retries_elsewhere_and_not_for_ever(name: str):
    policy = find_policy(name)(3, stream())
    for replica in range(3):
        tell(policy, replica)
    tried: list[int] = []
    where: Placement | Refusal = policy.choose(0, REQUEST, 60_000)
    for number in range(3):
        assert isinstance(where, Placement)
        attempt = Attempt(number, REQUEST, where.replica, 0, where.token)
        policy.on_sent(0, attempt)
        policy.on_failed(10, attempt, "unreachable", 0)
        where = policy.retry(10, attempt, "unreachable", tuple(tried), 60_000)
        tried.append(attempt.replica)
    assert sorted(tried) == [0, 1, 2]
    assert isinstance(where, Refusal)


def test_retries_of_baselines_are_a_fifth_of_requests():
    policy = Random(3, stream())
    policy.choose(0, REQUEST, 60_000)
    answers = []
    for number in range(10):
        attempt = send(policy, number, 0)
        policy.on_failed(0, attempt, "unreachable", 0)
        answers.append(policy.retry(0, attempt, "unreachable", (), 60_000))
    assert [isinstance(answer, Placement) for answer in answers] == [True] * 4 + [False] * 6


def test_baselines_neither_hedge_nor_count_nor_ask_others():
    policy = Random(2, stream())
    attempt = send(policy, 1, 0)
    assert isinstance(policy.hedge(0, attempt, (0,)), Refusal)
    assert policy.count() == {}
    assert policy.find_silent(10**6) == ()
    assert policy.find_lost(10**6) == [0, 1]
    policy.on_witness(0, 1, True)
    policy.on_first(0, attempt)
    policy.on_cancelled(0, attempt)
    assert not policy.view.open[0]


def test_policies_are_found_by_name_and_ours_comes_first():
    assert next(iter(POLICIES)) == SHORT[0] == OURS
    assert set(SHORT) <= set(POLICIES)
    with pytest.raises(BadModel, match="p2c"):
        find_policy("nothing")
