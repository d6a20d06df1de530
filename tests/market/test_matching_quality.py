"""How much of what could be matched at all the book matches, as orders come and expire.

The measure is the maximum flow over all pairs that fit and meet in time, which only somebody who
knows the future could reach.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from market.streams import Outcome, play_capacity
from market.workload import Op, make_capacity
from tests.support.max_flow import find_max_flow

COUNT = 3_000
FLOWS = json.loads((Path(__file__).parent / "vectors/max_flow.json").read_text(encoding="utf-8"))
LEAST_TIGHT = {10_000: 0.92, 12_500: 0.95, 16_000: 0.96}
LEAST_ORDINARY = 0.95
LEAST_BIDS = 0.95


def count_served(ops: list[Op], outcome: Outcome) -> tuple[int, int]:
    """Lots of all bids that were matched, and bids that were filled whole."""
    wanted = {op[1]: op[8] for op in ops if op[0] == "B"}
    got: Counter[object] = Counter()
    for taker, maker, _, lots in outcome.trades:
        got[taker if taker in wanted else maker] += lots
    return sum(got.values()), sum(got[id_] == lots for id_, lots in wanted.items())


@pytest.mark.parametrize(
    "flow", FLOWS, ids=lambda flow: f"slack{flow['slack']}-{flow['supply_bp']}"
)
def test_book_matches_nearly_all_that_could_be_matched(flow: dict[str, Any]):
    slack, supply_bp = flow["slack"], flow["supply_bp"]
    shares, whole = [], []
    for seed, (lots_max, bids_max) in enumerate(
        zip(flow["lots"], flow["feasible_bids"], strict=True), 1
    ):
        ops = list(make_capacity(COUNT, seed, supply_bp=supply_bp, slack=slack))
        lots, bids = count_served(ops, play_capacity(ops))
        assert lots <= lots_max
        shares.append(lots / lots_max)
        whole.append(bids / bids_max)
    least = LEAST_ORDINARY if slack else LEAST_TIGHT[supply_bp]
    print(f"lots {sum(shares) / 5:.3f}, bids filled whole {sum(whole) / 5:.3f}")
    assert sum(shares) / len(shares) >= least
    if slack and supply_bp > 10_000:
        assert sum(whole) / len(whole) >= LEAST_BIDS


@pytest.mark.parametrize("seed", [1, 2])
def test_maximum_is_found_by_a_library_of_graphs(seed: int):
    ops = list(make_capacity(200, seed))
    lots, _ = count_served(ops, play_capacity(ops))
    most = find_max_flow(ops)
    assert 0.9 * most <= lots <= most
