"""Every vertex has its place: rows by author, columns by cause."""

from __future__ import annotations

import pytest

from meshnode.drawing.lattice import make_lattice
from meshnode.errors import StorageError
from meshnode.views import RefView
from tests.support.views import make_small_dag, make_vertex


def test_lattice_places_authors_in_rows_and_causes_to_the_left():
    vertices = make_small_dag()
    lattice = make_lattice(list(reversed(vertices)))
    columns = {cell.vertex.id: cell.column for cell in lattice.cells}
    assert lattice.rows[0].name == "alice"
    assert {row.name for row in lattice.rows} == {"alice", "bob", "carol"}
    for vertex in vertices:
        assert all(columns[parent.id] < columns[vertex.id] for parent in vertex.parents)
    assert lattice.columns == 5
    assert [cell.vertex.kind for cell in lattice.cells if cell.is_head] == ["note"]
    assert len(lattice.edges) == sum(len(vertex.parents) for vertex in vertices)


def test_lattice_counts_references_out_of_the_picture():
    vertices = make_small_dag()
    assert make_lattice(vertices[1:]).missing == 3
    assert make_lattice([]).columns == 0


def test_lattice_shelves_the_further_vertices_of_a_fork():
    alice = make_vertex("a0", "alice", 0)
    forks = [make_vertex(name, "alice", 1, alice) for name in ("left", "right")]
    lattice = make_lattice([alice, *forks])
    assert sorted(cell.shelf for cell in lattice.cells) == [0, 0, 1]


def test_lattice_gives_each_lane_its_row():
    alice = make_vertex("a0", "alice", 0)
    block = make_vertex("block", "alice", 0, alice, lane=1, kind="block")
    other = make_vertex("other", "alice", 0, alice, lane=2)
    assert make_lattice([alice, other]).rows[1].label == "alice (lane 2)"
    assert [row.label for row in make_lattice([alice, block]).rows] == ["alice", "alice blocks"]


def test_lattice_refuses_a_circle():
    first = make_vertex("first", "alice", 0)
    second = make_vertex("second", "alice", 1, first)
    circle = make_vertex("first", "alice", 0, parents=(RefView(lamport=2, id=second.id),))
    with pytest.raises(StorageError, match="circle"):
        make_lattice([circle, second])
