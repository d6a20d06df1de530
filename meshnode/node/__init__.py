"""A node inside the own process: `open_node` and the handle it yields."""

from __future__ import annotations

from meshnode.node.handle import NodeHandle
from meshnode.node.opening import open_node

__all__ = ["NodeHandle", "open_node"]
