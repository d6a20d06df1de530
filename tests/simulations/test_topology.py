"""Graphs as sorted adjacency."""

from __future__ import annotations

import pytest

from simulations import topology
from simulations.errors import BadModel

GRAPHS = [
    topology.random_regular(40, 6, seed=1),
    topology.watts_strogatz(40, 4, 0.2, seed=1),
    topology.barabasi_albert(40, 3, seed=1),
    topology.complete(7),
    topology.line(5),
    topology.grid(3, 4),
    topology.tree(10),
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_adjacency_is_sorted_mutual_and_connected(graph: topology.Topology):
    assert all(list(near) == sorted(dict.fromkeys(near)) for near in graph)
    assert all(node in graph[other] for node, near in enumerate(graph) for other in near)
    assert all(node not in near for node, near in enumerate(graph))
    reached, edge = {0: None}, [0]
    while edge:
        edge = [other for node in edge for other in graph[node] if other not in reached]
        reached.update(dict.fromkeys(edge))
    assert len(reached) == len(graph)


def test_regular_graphs_are_regular_and_seeded():
    assert all(len(near) == 6 for near in GRAPHS[0])
    assert topology.random_regular(40, 6, seed=1) == GRAPHS[0]
    assert topology.random_regular(40, 6, seed=2) != GRAPHS[0]


def test_plain_shapes():
    assert topology.complete(3) == ((1, 2), (0, 2), (0, 1))
    assert topology.line(3) == ((1,), (0, 2), (1,))
    assert topology.grid(2, 2) == ((1, 2), (0, 3), (0, 3), (1, 2))
    assert topology.tree(4) == ((1, 2), (0, 3), (0,), (1,))


def test_a_graph_that_cannot_be_is_refused():
    with pytest.raises(BadModel):
        topology.random_regular(5, 3)
