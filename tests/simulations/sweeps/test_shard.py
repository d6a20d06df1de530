"""Shards part tasks for every count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.errors import SimulationError
from simulations.sweeps.shard import SHARDS_MAX, WHOLE, Shard, parse_shard

KEYS = st.text("0123456789abcdef", min_size=32, max_size=32)


@given(st.lists(KEYS, max_size=50), st.integers(1, 40))
def test_shards_have_every_task_exactly_once(keys: list[str], count: int):
    for key in keys:
        assert sum(Shard(index, count).has(key) for index in range(1, count + 1)) == 1
        assert WHOLE.has(key)


def test_shard_reads_what_it_writes():
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(2, 3)) == "2/3"


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "1/0", "-1/3", "a/b", "1/2/3", "1 / 2", "²/3", "1/9999999999"]
)
def test_parse_shard_refuses_what_names_none(text: str):
    with pytest.raises(SimulationError, match="shard"):
        parse_shard(text)


def test_shards_are_bounded():
    with pytest.raises(SimulationError):
        Shard(1, SHARDS_MAX + 1)
