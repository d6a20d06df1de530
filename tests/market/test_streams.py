"""Streams through the books: digests of another implementation, and second opinions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from market.plain_book import PlainBook
from market.streams import (
    CORE_INSTRUMENT,
    FULL_INSTRUMENT,
    digest_ops,
    digest_rows,
    play_capacity,
    play_messages,
)
from market.workload import make_capacity, make_core, make_full

VECTORS = json.loads((Path(__file__).parent / "vectors/streams.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['workload']}-{v['n']}-{v['seed']}")
def test_stream_and_its_outcome_are_those_of_the_reference(vector: dict[str, Any]):
    count, seed = vector["n"], vector["seed"]
    match vector["workload"]:
        case "core":
            ops = list(make_core(count, seed))
            outcome = play_messages(ops, CORE_INSTRUMENT)
        case "full":
            ops = list(make_full(count, seed))
            outcome = play_messages(ops, FULL_INSTRUMENT)
        case _:
            terms = {"supply_bp": vector["supply_bp"], "slack": vector["slack"]}
            ops = list(make_capacity(count, seed, **terms))
            outcome = play_capacity(ops)
    assert digest_ops(ops) == vector["ops_digest"]
    assert len(outcome.trades) == vector["trades"]
    assert outcome.sum_volume() == vector["volume"]
    assert len(outcome.resting) == vector["resting"]
    assert outcome.count_levels() == vector["levels"]
    assert digest_rows(outcome.trades) == vector["trade_digest"]
    assert digest_rows(outcome.resting) == vector["book_digest"]


@pytest.mark.parametrize("seed", range(20, 25))
def test_plain_book_and_book_agree(seed: int):
    ops, plain = list(make_core(2_000, seed)), PlainBook()
    for op in ops:
        if op[0] == "L":
            plain.limit(*op[1:5])
        else:
            plain.cancel(op[1])
    outcome = play_messages(ops, CORE_INSTRUMENT)
    assert outcome.trades == plain.trades
    assert outcome.resting == plain.list_resting()


def test_empty_stream_has_an_empty_outcome():
    outcome = play_messages([], FULL_INSTRUMENT)
    assert (outcome.trades, outcome.resting) == ([], [])
    assert outcome.count_levels() == outcome.sum_volume() == 0
