"""A DAG for other programs: Graphviz DOT and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshnode.drawing.palette import get_mark
from meshnode.drawing.text import printable

if TYPE_CHECKING:
    from meshnode.drawing.lattice import Lattice


def make_dot(lattice: Lattice, *, title: str) -> str:
    """The graph for Graphviz, from left to right, one cluster per author."""
    lines = [f"digraph {_quote(title)} {{", "  rankdir=LR;", "  node [style=filled];"]
    for number, row in enumerate(lattice.rows):
        lines.append(f"  subgraph cluster_{number} {{ label={_quote(row.label)};")
        for cell in lattice.cells:
            if cell.row == number:
                vertex = cell.vertex
                label = _quote(f"{vertex.kind} {vertex.id[:8]}")
                colour = _quote(get_mark(vertex.kind).colour)
                lines.append(f"    {_quote(vertex.id)} [label={label} fillcolor={colour}];")
        lines.append("  }")
    for parent, child in lattice.edges:
        parent_id, child_id = lattice.cells[parent].vertex.id, lattice.cells[child].vertex.id
        lines.append(f"  {_quote(parent_id)} -> {_quote(child_id)};")
    return "\n".join([*lines, "}"]) + "\n"


def make_dag_document(lattice: Lattice, *, network: str) -> dict[str, Any]:
    """The graph as JSON: vertices with their places, and edges from parent to child."""
    return {
        "schema": "meshnode.dag/1",
        "network": network,
        "vertices": [
            {**cell.vertex.to_json(), "row": cell.row, "column": cell.column, "head": cell.is_head}
            for cell in lattice.cells
        ],
        "edges": [
            [lattice.cells[parent].vertex.id, lattice.cells[child].vertex.id]
            for parent, child in lattice.edges
        ],
        "missing_references": lattice.missing,
    }


def make_dag_text(lattice: Lattice, *, network: str) -> str:
    """`make_dag_document` as text."""
    return json.dumps(make_dag_document(lattice, network=network), indent=1) + "\n"


def _quote(text: str) -> str:
    # DOT strings know the same two escapes as JSON; everything else may stand as it is.
    return json.dumps(printable(text), ensure_ascii=False)
