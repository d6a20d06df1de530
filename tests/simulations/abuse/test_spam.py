"""Whoever says too much fills no store and delays nobody."""

from __future__ import annotations

import pytest

from simulations.abuse.rows import Row, measure
from simulations.abuse.spam import ROWS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_defence_keeps_its_bound_and_nothing_else_would(row: Row):
    record = measure(row, seed=1)
    assert record.guarded <= record.bound
    assert record.without > record.bound
