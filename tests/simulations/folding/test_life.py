"""Random lives: the same for a seed, and of all kinds of people."""

from __future__ import annotations

import random

from dag.types import LANE_BLOCKS
from simulations.folding.life import Life
from simulations.streams import Streams


def live(seed: int, commits: int) -> Life:
    life = Life(seed, Streams(seed).get("life"))
    for number in range(commits):
        life.talk(6)
        if number % 7 == 0:
            life.mumble()
        if number % 20 == 0:
            life.change_committee()
        life.pass_time(is_long=number % 30 == 29)
    return life


def test_life_is_the_same_for_the_same_seed():
    first, second = live(3, 30), live(3, 30)
    assert first.exchange.log == second.exchange.log
    assert first.exchange.describe() == second.exchange.describe()
    assert live(4, 30).exchange.describe()["digest"] != first.exchange.describe()["digest"]


def test_lives_trade_and_are_refused_for_many_reasons():
    codes: dict[str, int] = {}
    trades = 0
    for seed in range(6):
        exchange = live(seed, 60).exchange
        codes |= exchange.refusals
        trades += len(exchange.trades)
    assert trades > 20
    assert {"malformed", "insufficient_funds", "credential", "not_attested"} <= set(codes)
    assert len(codes) > 15


def test_garbage_is_of_all_lanes_and_changes_nobodys_money():
    life = Life(1, random.Random(1))
    totals = life.exchange.state.ledger.totals.minted
    for _ in range(40):
        life.mumble()
    life.pass_time(is_long=False)
    _, vertices = life.exchange.log[-1]
    assert any(vertex.vertex.lane == LANE_BLOCKS for vertex in vertices)
    assert len({vertex.id for vertex in vertices}) == len(vertices)
    assert life.exchange.state.ledger.totals.minted == totals
