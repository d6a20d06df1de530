"""The cyclic garbage collector, told what a simulation is like."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG_MAX: Final = 10_000
"""Python's own 700 would look through the young objects several times per virtual millisecond."""


@contextmanager
def collect_rarely() -> Iterator[None]:
    """Collect less often meanwhile: many objects live long, and few of them form cycles."""
    before = gc.get_threshold()
    gc.set_threshold(max(YOUNG_MAX, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
