"""The topology that Maelstrom proposes by default: a grid, as square as the count allows."""

from __future__ import annotations

import math
from collections.abc import Sequence


def make_grid(names: Sequence[str]) -> dict[str, list[str]]:
    """Each name with those beside, above and below it."""
    side = math.isqrt(len(names) - 1) + 1
    neighbours: dict[str, list[str]] = {}
    for index, name in enumerate(names):
        near = [index - side, index + side]
        if index % side:
            near.append(index - 1)
        if (index + 1) % side:
            near.append(index + 1)
        neighbours[name] = [names[one] for one in sorted(near) if 0 <= one < len(names)]
    return neighbours
