"""Newcomers of one operator do not fill an open network."""

from __future__ import annotations

import pytest

from simulations.abuse.newcomers import ROWS
from simulations.abuse.rows import Row, measure


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_defence_keeps_its_bound_and_nothing_else_would(row: Row):
    record = measure(row, seed=1)
    assert record.guarded <= record.bound
    assert record.without > record.bound
