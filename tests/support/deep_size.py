"""How many bytes an object holds on to, with all that it refers to.

Resident memory of a simulation is that of all its nodes, of their disks and of what is remembered
for all of them. What one core holds is counted here, object by object.
"""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Final

_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType)
"""Code, which is there once and leads to everything."""


def measure_bytes(root: object) -> int:
    """The bytes of an object and of everything reachable from it, each once."""
    seen: dict[int, None] = {id(root): None}
    found = [root]
    size_bytes = 0
    while found:
        one = found.pop()
        size_bytes += sys.getsizeof(one)
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, _SHARED):
                seen[id(other)] = None
                found.append(other)
    return size_bytes


def fit_slope(points: list[tuple[float, float]]) -> float:
    """The slope of the line that lies closest to these points."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def fit_slope_beside(points: list[tuple[float, float, float]]) -> float:
    """The slope over the first value where the second is the same, of the plane closest to (x, z, y)."""
    x, z, y = ([point[place] for point in points] for place in range(3))
    if min(z) == max(z):
        return fit_slope(list(zip(x, y, strict=True)))
    return fit_slope(list(zip(_subtract(x, z), _subtract(y, z), strict=True)))


def _subtract(values: list[float], of: list[float]) -> list[float]:
    """What of values the line over others does not explain."""
    slope = fit_slope(list(zip(of, values, strict=True)))
    mean, mean_of = sum(values) / len(values), sum(of) / len(of)
    return [value - mean - slope * (one - mean_of) for value, one in zip(values, of, strict=True)]
