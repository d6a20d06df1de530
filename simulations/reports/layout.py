"""Where nodes stand in a picture of a topology: always the same for the same graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from simulations.reports.extras import has_extra

if TYPE_CHECKING:
    from collections.abc import Iterable

Place = tuple[float, float]
"""Across and down, each from 0 to 1."""

CIRCLE_MAX: Final = 32
"""Up to so many nodes stand in a circle, where every link shows."""
SPRING_MAX: Final = 1_500
"""Beyond, springs take too long, and nodes stand in a spiral."""
SPRING_STEPS: Final = 60
DIGITS: Final = 4
_GOLDEN: Final = math.pi * (3 - math.sqrt(5))


def place_nodes(count: int, edges: Iterable[Sequence[int]], *, seed: int = 0) -> list[Place]:
    """Place nodes in a circle, by springs along their links, or in a spiral, as many as they are.

    Springs need numpy, which comes with the extra `research`.
    """
    if count <= CIRCLE_MAX:
        return _make_circle(count)
    if count <= SPRING_MAX and has_extra("numpy"):
        return _make_springs(count, edges, seed)
    return _make_spiral(count)


def _make_circle(count: int) -> list[Place]:
    angles = [2 * math.pi * node / max(1, count) for node in range(count)]
    return [_round(0.5 + 0.5 * math.sin(angle), 0.5 - 0.5 * math.cos(angle)) for angle in angles]


def _make_spiral(count: int) -> list[Place]:
    places = []
    for node in range(count):
        radius, angle = 0.5 * math.sqrt((node + 0.5) / count), node * _GOLDEN
        places.append(_round(0.5 + radius * math.sin(angle), 0.5 - radius * math.cos(angle)))
    return places


def _make_springs(count: int, edges: Iterable[Sequence[int]], seed: int) -> list[Place]:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(edges)
    begun = dict(enumerate(_make_spiral(count)))
    found = nx.spring_layout(graph, pos=begun, seed=seed, iterations=SPRING_STEPS, method="force")
    places = [(float(found[node][0]), float(found[node][1])) for node in range(count)]
    return _fit(places)


def _fit(places: Sequence[Place]) -> list[Place]:
    """Stretch so that the outermost nodes touch the border."""
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    right, bottom = (max(place[axis] for place in places) for axis in (0, 1))
    width, height = max(right - left, 1e-9), max(bottom - top, 1e-9)
    return [_round((x - left) / width, (y - top) / height) for x, y in places]


def _round(x: float, y: float) -> Place:
    return round(x, DIGITS), round(y, DIGITS)
