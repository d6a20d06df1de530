"""Nobody is led to where a member is no more, or never was."""

from __future__ import annotations

import pytest

from simulations.abuse.records import ROWS
from simulations.abuse.rows import Row, measure


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_defence_keeps_its_bound_and_nothing_else_would(row: Row):
    record = measure(row, seed=1)
    assert record.guarded <= record.bound
    assert record.without > record.bound
