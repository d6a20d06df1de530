"""One agenda for everything that ends by itself, by (deadline, subject).

A subject is a kind, one byte, and the key of a record. It has at most one deadline; setting another
leaves the old entry behind, to be skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from market.agenda import Agenda
from market.tables import Table

DRAINED_MAX: Final = 10_000
"""Time-outs of one commit; those that are left come first in the next."""

CONTRACT: Final = b"c"
EPOCH: Final = b"e"
MOTION: Final = b"m"
UNBONDING: Final = b"u"
WINDOW: Final = b"w"


class Deadlines:
    """When what is due."""

    def __init__(self, rows: Table[int] | None = None) -> None:
        self.rows: Final[Table[int]] = Table() if rows is None else rows
        self._rows: Final = self.rows.by_key
        self._note_change: Final = self.rows.note_change
        self._agenda: Final = Agenda(self._is_set, self._list_set)

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, subject: bytes) -> int | None:
        """When this is due."""
        return self.rows.get(subject)

    def set(self, subject: bytes, due_ms: int) -> None:
        """This is due then, and at no other time."""
        self._note_change(subject)
        self._rows[subject] = due_ms
        self._agenda.put(due_ms, subject)

    def clear(self, subject: bytes) -> None:
        """This is no longer due."""
        if subject in self._rows:
            self.rows.drop(subject)

    def find_next(self) -> int | None:
        """The first deadline; None for none."""
        return self._agenda.find_next()

    def take_due(self, time_ms: int) -> Iterator[bytes]:
        """Remove and give the subjects that are due, by deadline and then by subject."""
        rows, note_change = self._rows, self._note_change
        for due_ms, subject in self._agenda.take_due(time_ms):
            if rows.get(subject) == due_ms:
                note_change(subject)
                del rows[subject]
                yield subject

    def _is_set(self, subject: bytes, due_ms: int) -> bool:
        return self.rows.get(subject) == due_ms

    def _list_set(self) -> Iterable[tuple[int, bytes]]:
        return ((due_ms, subject) for subject, due_ms in self.rows.items())
