"""How long a message is under way: one-way latencies, never round trips.

A model is asked for every message, with the stream of the network. Fields and files say
`one_way_ms`; whoever has round trips halves them first.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from simulations.errors import BadModel
from simulations.kernel import NS_PER_MS

if TYPE_CHECKING:
    import random


class Latency(Protocol):
    """One-way latency between two nodes, without jitter."""

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """Nanoseconds from source to target."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same for every pair."""

    one_way_ms: float
    _ns: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is not a duration."""
        object.__setattr__(self, "_ns", _to_ns(self.one_way_ms))

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`."""
        del source, target, stream
        return self._ns


@dataclass(frozen=True, slots=True)
class Uniform:
    """Drawn anew for every message, evenly between two bounds."""

    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        """Refuse bounds in the wrong order."""
        if _to_ns(self.low_ms) > _to_ns(self.high_ms):
            raise BadModel(f"latency from {self.low_ms} to {self.high_ms} ms")

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`."""
        del source, target
        return int((self.low_ms + (self.high_ms - self.low_ms) * stream.random()) * NS_PER_MS)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Drawn for every message, with a heavy tail."""

    median_ms: float
    sigma: float

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`."""
        del source, target
        return int(self.median_ms * math.exp(stream.gauss(0.0, self.sigma)) * NS_PER_MS)


class Matrix:
    """A table of places; each node stands at one of them."""

    def __init__(
        self,
        names: Sequence[str],
        one_way_ms: Sequence[Sequence[float]],
        places: Sequence[int] | None = None,
    ) -> None:
        """Take a square table.

        Args:
            names: What the places are called.
            one_way_ms: From row to column; the diagonal is the latency within a place.
            places: The place of each node; by default node i stands at place i modulo their count.
        """
        if any(len(row) != len(names) for row in (one_way_ms, *one_way_ms)) or not names:
            raise BadModel(f"a table of {len(names)} places is not square")
        self.names = tuple(names)
        self.places = places
        self._ns = [[_to_ns(value) for value in row] for row in one_way_ms]

    def place_of(self, node: int) -> int:
        """Where a node stands."""
        return self.places[node] if self.places else node % len(self.names)

    def sample_ns(self, source: int, target: int, stream: random.Random) -> int:
        """See `Latency`."""
        del stream
        if self.places:
            return self._ns[self.places[source]][self.places[target]]
        count = len(self._ns)
        return self._ns[source % count][target % count]


def _to_ns(value_ms: float) -> int:
    if not 0 <= value_ms < math.inf:
        raise BadModel(f"{value_ms} ms is no latency")
    return round(value_ms * NS_PER_MS)


def load_latency(source: str | Path, places: Sequence[int] | None = None) -> Matrix:
    """Read a table: the name of one that comes with the package (`aws-13`), or a CSV file.

    The first row holds names behind one cell, each further row a name and its one-way milliseconds
    to every place; lines that begin with # are comments.
    """
    if isinstance(source, Path) or source.endswith(".csv"):
        text = Path(source).read_text(encoding="utf-8")
    else:
        table = resources.files("simulations") / "data" / f"{source}.csv"
        if not table.is_file():
            raise BadModel(f"no latency table {source!r} comes with the package")
        text = table.read_text(encoding="utf-8")
    return parse_latency(text, places)


def parse_latency(text: str, places: Sequence[int] | None = None) -> Matrix:
    """Read a table from CSV text; see `load_latency`."""
    lines: Iterable[str] = (line for line in StringIO(text) if not line.startswith("#"))
    rows = [row for row in csv.reader(lines) if row]
    if not rows:
        raise BadModel("a latency table is empty")
    names = [name.strip() for name in rows[0][1:]]
    try:
        table = [[float(cell) for cell in row[1:]] for row in rows[1:]]
    except ValueError as error:
        raise BadModel(f"a latency table holds something else than numbers: {error}") from None
    if [row[0].strip() for row in rows[1:]] != names:
        raise BadModel("rows and columns of a latency table name the same places in one order")
    return Matrix(names, table, places)
