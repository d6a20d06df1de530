"""Streams: the generator's published numbers, and what each stream promises."""

from __future__ import annotations

from collections import Counter

import pytest

from market.plain_book import PlainBook
from market.workload import LiveIds, SplitMix64, make_capacity, make_core, make_full


def test_generator_draws_what_is_published_for_it():
    chance = SplitMix64(1234567)
    published = (6457827717110365317, 3203168211198807973, 9817491932198370423)
    assert tuple(chance.draw(1 << 64) for _ in published) == published
    chance = SplitMix64(1234567)
    assert chance.draw(100) == published[0] * 100 >> 64


def test_last_id_takes_the_place_of_one_that_goes():
    live = LiveIds()
    for id_ in (7, 8, 9):
        live.add(id_)
    live.discard(7)
    assert [live.pick(place) for place in range(len(live))] == [9, 8]
    live.discard(8)
    assert [live.pick(place) for place in range(len(live))] == [9]


@pytest.mark.parametrize("seed", [0, 1, 1 << 64])
def test_core_cancels_only_orders_that_are_alive(seed: int):
    book, kinds = PlainBook(), Counter[str]()
    for op in make_core(3_000, seed):
        kinds[op[0]] += 1
        if op[0] == "C":
            assert book.cancel(op[1])
        else:
            book.limit(*op[1:5])
    assert 0.25 < kinds["C"] / 3_000 < 0.35


def test_full_has_every_kind_of_message_and_stale_ids():
    ops = list(make_full(3_000, 1))
    assert {op[0] for op in ops} == {"L", "M", "C", "R", "P"}
    assert {op[6] for op in ops if op[0] == "L"} == {0, 1, 2, 3}
    cancelled = [op[1] for op in ops if op[0] == "C"]
    assert len(set(cancelled)) < len(cancelled)


def test_slack_lifts_every_bid_and_supply_every_offer():
    tight = list(make_capacity(500, 3))
    easy = list(make_capacity(500, 3, slack=200, supply_bp=25_000))
    for one, other in zip(tight, easy, strict=True):
        assert one[:7] == other[:7]
        assert other[7] - one[7] == (200 if one[0] == "B" else 0)
        assert other[8] > one[8] if one[0] == "O" else other[8] == one[8]
        assert one[9] > one[2]
