"""Where nodes stand: within the picture, apart from each other, always alike."""

from __future__ import annotations

import sys

import pytest

from simulations.reports.layout import CIRCLE_MAX, SPRING_MAX, place_nodes
from simulations.topology import random_regular

EDGES = [(a, b) for a, near in enumerate(random_regular(60, 4, seed=1)) for b in near if a < b]


@pytest.mark.parametrize("count", [1, 2, CIRCLE_MAX, 60, SPRING_MAX + 1])
def test_nodes_stand_apart_within_the_picture(count: int):
    places = place_nodes(count, EDGES if count == 60 else [], seed=3)
    assert len({*places}) == len(places) == count
    assert all(0.0 <= x <= 1.0 and 0.0 <= y <= 1.0 for x, y in places)
    assert places == place_nodes(count, EDGES if count == 60 else [], seed=3)


def test_neighbours_stand_nearer_than_others():
    ring = [(node, (node + 1) % 60) for node in range(60)]
    places = place_nodes(60, ring)

    def measure(one: int, other: int) -> float:
        return abs(complex(*places[one]) - complex(*places[other]))

    near = sum(measure(*edge) for edge in ring) / 60
    far = sum(measure(node, (node + 30) % 60) for node in range(60)) / 60
    assert near * 3 < far


def test_without_numpy_nodes_stand_in_a_spiral(monkeypatch):
    springs = place_nodes(60, EDGES)
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert place_nodes(60, EDGES) != springs


def test_nobody_stands_nowhere():
    assert place_nodes(0, []) == []
