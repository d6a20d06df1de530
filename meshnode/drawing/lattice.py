"""Where each vertex stands in a picture: a row for each author's lane, columns in causal order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

from dag.types import LANE_BLOCKS, LANE_SPEECH
from meshnode.drawing.slots import Slot, find_slots
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
        if self.lane == LANE_BLOCKS:
            return f"{name} blocks"
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
    slots: tuple[Slot, ...] = ()
    """Rounds whose leader is decided."""

    @property
    def shows_order(self) -> bool:
        """Whether it is known of any vertex which commit put it out."""
        return any(cell.vertex.commit is not None for cell in self.cells)


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
    columns = _find_columns(graph, vertices)
    ordered = sorted(vertices, key=lambda vertex: (vertex.lamport, vertex.id))
    rows = _find_rows(ordered)
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
        slots=find_slots(ordered, columns),
    )


def _find_columns(graph: Graph, vertices: Sequence[VertexInfo]) -> dict[str, int]:
    """A vertex stands right of all its parents.

    Blocks go on while few speak, and what is said refers to no block. So beside blocks it moves to
    the right, as far as what refers to it lets it: where it was said, and not at the far left.
    """
    columns: dict[str, int] = {
        vertex_id: column
        for column, generation in enumerate(nx.topological_generations(graph))
        for vertex_id in generation
    }
    said = {vertex.id for vertex in vertices if vertex.lane == LANE_SPEECH}
    if len(said) == len(vertices):
        return columns
    last = max(columns.values())
    for vertex_id in reversed(list(nx.topological_sort(graph))):
        if vertex_id in said:
            children = [columns[child] for child in graph.successors(vertex_id)]
            columns[vertex_id] = min(children, default=last + 1) - 1
    return columns


def _find_rows(ordered: Sequence[VertexInfo]) -> dict[tuple[str, int], int]:
    """Authors in the order they first spoke, the lanes of each one below the other."""
    authors: dict[str, dict[int, None]] = {}
    for vertex in ordered:
        authors.setdefault(vertex.author, {})[vertex.lane] = None
    places = [(author, lane) for author, lanes in authors.items() for lane in sorted(lanes)]
    return {place: row for row, place in enumerate(places)}
