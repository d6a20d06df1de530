"""Who is whose neighbour: seeded graphs as sorted adjacency lists.

networkx makes them; what simulations see is a tuple of ascending tuples, so that no order of a
graph library can leak into a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulations.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Callable

Topology = tuple[tuple[int, ...], ...]
"""The neighbours of each node, ascending."""


def random_regular(count: int, degree: int = 8, *, seed: int = 0) -> Topology:
    """Every node has exactly `degree` neighbours, drawn evenly; the usual model of a mesh."""
    return _build("random_regular_graph", degree, count, seed=seed)


def watts_strogatz(count: int, degree: int = 8, rewired: float = 0.1, *, seed: int = 0) -> Topology:
    """A ring of near neighbours with a share of far ones: a small world, always connected."""
    return _build("connected_watts_strogatz_graph", count, degree, rewired, seed=seed)


def barabasi_albert(count: int, links: int = 4, *, seed: int = 0) -> Topology:
    """Newcomers prefer nodes with many neighbours: few hubs, many leaves."""
    return _build("barabasi_albert_graph", count, links, seed=seed)


def complete(count: int) -> Topology:
    """Everybody is everybody's neighbour."""
    return tuple(tuple(other for other in range(count) if other != node) for node in range(count))


def line(count: int) -> Topology:
    """A chain."""
    return _build("path_graph", count)


def grid(rows: int, columns: int) -> Topology:
    """A rectangle; node r * columns + c stands at row r, column c."""
    near = []
    for node in range(rows * columns):
        row, column = divmod(node, columns)
        others = (
            (row - 1, column),
            (row, column - 1),
            (row, column + 1),
            (row + 1, column),
        )
        near.append(tuple(r * columns + c for r, c in others if 0 <= r < rows and 0 <= c < columns))
    return tuple(near)


def tree(count: int, branching: int = 2) -> Topology:
    """A complete tree, filled from the left; node 0 is the root."""
    return _build("full_rary_tree", branching, count)


def _build(name: str, *arguments: Any, **options: Any) -> Topology:
    import networkx as nx

    make: Callable[..., Any] = getattr(nx, name)
    try:
        graph = make(*arguments, **options)
    except nx.NetworkXException as error:
        raise BadModel(f"no such graph: {error}") from None
    return tuple(tuple(sorted(graph[node])) for node in range(graph.number_of_nodes()))
