"""Where questions went, in the journal's file: who asked, whose engine was to answer, and why not.

Each node writes down what it decided itself, whether it asked or was asked. No text of a question is
in it. It is a convenience of this node and bounded: the oldest rows go first.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS placements (number INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,
    role TEXT NOT NULL, requester BLOB NOT NULL, owner BLOB NOT NULL, backend TEXT NOT NULL,
    engine TEXT NOT NULL, model TEXT NOT NULL, allowed INTEGER NOT NULL, reason TEXT NOT NULL);
"""
PLACEMENTS_MAX: Final = 50_000
"""Rows that are remembered, about 10 MB."""
_COLUMNS: Final = "time_ms, role, requester, owner, backend, engine, model, allowed, reason"


class Placement(NamedTuple):
    """One decision to let an engine answer a question, or not to."""

    time_ms: int
    role: str
    """What this node was: 'asking' or 'serving'."""
    requester: bytes
    """Author who asks."""
    owner: bytes
    """Author whose engine it is; empty where there was none to choose."""
    backend: str
    """'hosted' for weights that its owner runs, 'account' for what serves its owner only."""
    engine: str
    model: str
    allowed: bool
    reason: str


def write_placements(connection: sqlite3.Connection, rows: Sequence[Placement]) -> None:
    """Write rows down, inside the caller's transaction, and forget the oldest."""
    connection.executemany(
        f"INSERT INTO placements ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constant
        rows,
    )
    connection.execute(
        "DELETE FROM placements WHERE number <= (SELECT max(number) FROM placements) - ?",
        (PLACEMENTS_MAX,),
    )


def read_placements(connection: sqlite3.Connection, *, limit: int) -> list[Placement]:
    """The newest rows first."""
    query = f"SELECT {_COLUMNS} FROM placements ORDER BY number DESC LIMIT ?"  # noqa: S608  # constant
    return [
        Placement._make((*row[:7], bool(row[7]), row[8]))
        for row in connection.execute(query, (limit,)).fetchall()
    ]
