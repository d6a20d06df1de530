"""Pictures of the DAG: a graph of vertices, and what it looks like as SVG, DOT, JSON and text."""
