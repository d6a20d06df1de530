"""A DAG for other programs: Graphviz DOT and JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshnode.drawing.palette import get_mark
from meshnode.drawing.text import printable

if TYPE_CHECKING:
    from meshnode.drawing.lattice import Lattice
    from meshnode.views import VertexInfo


def make_dot(lattice: Lattice, *, title: str) -> str:
    """The graph for Graphviz, from left to right, one cluster per author."""
    lines = [f"digraph {_quote(title)} {{", "  rankdir=LR;", "  node [style=filled];"]
    for number, row in enumerate(lattice.rows):
        lines.append(f"  subgraph cluster_{number} {{ label={_quote(row.label)};")
        for cell in lattice.cells:
            if cell.row == number:
                vertex = cell.vertex
                lines.append(f"    {_quote(vertex.id)} [{_describe(vertex)}];")
        lines.append("  }")
    for parent, child in lattice.edges:
        parent_id, child_id = lattice.cells[parent].vertex.id, lattice.cells[child].vertex.id
        lines.append(f"  {_quote(parent_id)} -> {_quote(child_id)};")
    skipped = [str(slot.round) for slot in lattice.slots if slot.commit is None]
    if skipped:
        label = _quote(f"rounds passed over: {', '.join(skipped)}")
        lines.append(f"  label={label};")
    return "\n".join([*lines, "}"]) + "\n"


def _describe(vertex: VertexInfo) -> str:
    """Attributes of a node: leaders have a double outline, and what is final names its commit."""
    parts = [vertex.kind, vertex.id[:8]]
    if vertex.commit is not None:
        parts.append(f"commit {vertex.commit}")
    colour = get_mark(vertex.kind).colour
    outline = " peripheries=2 penwidth=2" if vertex.leads else ""
    return f"label={_quote(' '.join(parts))} fillcolor={_quote(colour)}{outline}"


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
        "slots": [slot.to_json() for slot in lattice.slots],
    }


def make_dag_text(lattice: Lattice, *, network: str) -> str:
    """`make_dag_document` as text."""
    return json.dumps(make_dag_document(lattice, network=network), indent=1) + "\n"


def _quote(text: str) -> str:
    # DOT strings know the same two escapes as JSON; everything else may stand as it is.
    return json.dumps(printable(text), ensure_ascii=False)
