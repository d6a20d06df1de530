"""The grid that is proposed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulations.maelstrom.topology import make_grid


def test_grid_joins_neighbours_of_rows_and_columns():
    assert make_grid(["a", "b", "c", "d", "e"]) == {
        "a": ["b", "d"],
        "b": ["a", "c", "e"],
        "c": ["b"],
        "d": ["a", "e"],
        "e": ["b", "d"],
    }
    assert make_grid(["a"]) == {"a": []}


@given(st.integers(1, 60))
def test_grid_is_mutual_and_connected_whatever_its_size(count):
    names = [f"n{number}" for number in range(count)]
    grid = make_grid(names)
    assert all(name in grid[other] for name in names for other in grid[name])
    reached, fresh = {names[0]}, [names[0]]
    while fresh:
        fresh = [other for name in fresh for other in grid[name] if other not in reached]
        reached.update(fresh)
    assert reached == set(names)
