"""What is run and what comes of it: the records that scenarios, sweeps and reports hand on.

A `Task` is data, so it can be sent to another machine; its key names it and the code that ran it.
Equal tasks give equal `Record`s, byte for byte, whatever ran them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

Value = int | float | str | bool
Number = int | float

CODE: Final = ("dag", "consensus", "market", "meshnode/core", "meshnode/routing", "simulations")
"""Sources that decide what a run does; a result made by others is not the same result."""
SUFFIXES: Final = (".py", ".csv")
WITHOUT: Final = ("simulations/commands", "simulations/reports", "simulations/sweeps")
"""What asks for results, keeps and shows them, and changes none."""

_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one scenario: everything that decides its outcome."""

    scenario: str
    measure: str
    """Name of the measurement; see `simulations.scenarios.measures`."""
    parameters: dict[str, Value]
    """Complete: defaults are filled in, so that a changed default is another task."""
    seed: int

    @property
    def key(self) -> str:
        """Names the task and the code, in 32 hex digits."""
        return hashlib.sha256(_encoder.encode((compute_code_digest(), self))).hexdigest()[:32]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement found."""

    world: dict[str, Value]
    """`World.describe()`: fidelity, events, digest, messages sent and lost."""
    metrics: dict[str, Number]
    """One number each; names carry their unit (`p99_ms`, `copies_per_vertex`)."""
    samples: dict[str, list[Number]] = {}
    """Many values of one kind, for distributions (`delivery_ms`)."""
    series: dict[str, list[tuple[Number, Number]]] = {}
    """Points (x, y), ascending in x, for curves over time (`coverage_by_ms`)."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A task and what came of it: an outcome, or why there is none."""

    key: str
    task: Task
    outcome: Outcome | None = None
    error: str = ""
    """One line; a run that raises is a finding, not the end of a sweep."""

    @property
    def digest(self) -> str:
        """Names the content, in 32 hex digits."""
        return hashlib.sha256(_encoder.encode(self)).hexdigest()[:32]

    def encode(self) -> bytes:
        """One line of JSON, always the same for the same content."""
        return _encoder.encode(self)


def decode_record(data: bytes) -> Record:
    """Read what `Record.encode` wrote. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=Record)


def compute_digest(records: Iterable[Record]) -> str:
    """Names a set of records whatever their order, in 32 hex digits."""
    pairs = sorted((record.key, record.digest) for record in records)
    return hashlib.sha256(_encoder.encode(pairs)).hexdigest()[:32]


@functools.cache
def compute_code_digest() -> str:
    """Names the sources that decide what a run does, in 16 hex digits."""
    state = hashlib.sha256()
    for name, path in list_sources():
        state.update(name.encode())
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def list_sources() -> list[tuple[str, Path]]:
    """Modules and tables that a run rests on, by name."""
    root = Path(__file__).resolve().parent.parent
    found = []
    for package in CODE:
        for path in sorted((root / package).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in SUFFIXES and not name.startswith(WITHOUT):
                found.append((name, path))
    return found
