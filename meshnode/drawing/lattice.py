"""Where each vertex stands in a picture: a row for each author's lane, columns in causal order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from dag.types import LANE_SPEECH
from meshnode.errors import StorageError
from meshnode.views import VertexInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

Graph = Any  # networkx ships no types
"""A `networkx.DiGraph`: nodes are vertex ids, edges point from parent to child."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the picture: what one author said in one lane."""

    author: str
    name: str
    lane: int

    @property
    def label(self) -> str:
        """What stands at the row's beginning."""
        name = self.name or self.author[:8]
        return name if self.lane == LANE_SPEECH else f"{name} (lane {self.lane})"


@dataclass(frozen=True, slots=True)
class Cell:
    """A vertex in its place."""

    vertex: VertexInfo
    row: int
    column: int
    shelf: int
    """0, or more for the further vertices of a fork, which claim the same place."""
    is_head: bool


@dataclass(frozen=True, slots=True)
class Lattice:
    """A DAG with every vertex in its place."""

    rows: tuple[Row, ...]
    columns: int
    cells: tuple[Cell, ...]
    edges: tuple[tuple[int, int], ...]
    """(parent, child) as positions in `cells`."""
    missing: int
    """References to vertices outside the picture."""


def make_graph(vertices: Sequence[VertexInfo]) -> Graph:
    """The graph of these vertices. Raises `StorageError` if references go round in a circle."""
    graph = nx.DiGraph()
    for vertex in vertices:
        graph.add_node(vertex.id)
    for vertex in vertices:
        graph.add_edges_from(
            (parent.id, vertex.id) for parent in vertex.parents if parent.id in graph
        )
    if not nx.is_directed_acyclic_graph(graph):
        raise StorageError(
            "the vertices refer to each other in a circle", hint="run `meshnode dag verify`"
        )
    return graph


def make_lattice(vertices: Sequence[VertexInfo]) -> Lattice:
    """Place vertices: authors in the order they first spoke, later to the right."""
    graph = make_graph(vertices)
    columns = {
        vertex_id: column
        for column, generation in enumerate(nx.topological_generations(graph))
        for vertex_id in generation
    }
    ordered = sorted(vertices, key=lambda vertex: (vertex.lamport, vertex.id))
    rows: dict[tuple[str, int], int] = {}
    for vertex in ordered:
        rows.setdefault((vertex.author, vertex.lane), len(rows))
    names = {vertex.author: vertex.author_name for vertex in ordered}
    taken: dict[tuple[int, int], int] = {}
    cells = []
    for vertex in ordered:
        place = (rows[vertex.author, vertex.lane], columns[vertex.id])
        shelf = taken.get(place, 0)
        taken[place] = shelf + 1
        cells.append(Cell(vertex, *place, shelf, graph.out_degree(vertex.id) == 0))
    positions = {cell.vertex.id: position for position, cell in enumerate(cells)}
    return Lattice(
        rows=tuple(Row(author, names[author], lane) for author, lane in rows),
        columns=max(columns.values(), default=-1) + 1,
        cells=tuple(cells),
        edges=tuple(sorted((positions[parent], positions[child]) for parent, child in graph.edges)),
        missing=sum(len(vertex.parents) for vertex in vertices) - graph.number_of_edges(),
    )
