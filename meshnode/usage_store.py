"""What requests to engines used and cost, in the home folder: `usage.db`.

The last `REQUESTS_MAX` requests are kept one by one; sums by day, engine and model are kept for
ever, or nearly. A day is one of UTC, as providers count them. The node and the commands write at
the same time, each in a short transaction of its own. Blocking; `UsageWriter` gives it a thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Final, Self

from meshnode.engines.usage import Outcome, UsageRecord
from meshnode.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "usage.db"
DAY_MS: Final = 86_400_000
REQUESTS_MAX: Final = 100_000
SUMS_MAX: Final = 100_000
"""Rows of one model at one engine on one day: more than a century of two models."""
WAITING_MAX: Final = 10_000
NAME_CHARS_MAX: Final = 200
_BUSY_TIMEOUT_S: Final = 5.0
_INTEGER_MAX: Final = 2**62

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS requests (
  number INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, engine TEXT NOT NULL,
  model TEXT NOT NULL, request_id TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL, cost_udollar INTEGER, latency_ms INTEGER NOT NULL,
  first_token_ms INTEGER, outcome TEXT NOT NULL, fault TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS sums (
  day INTEGER NOT NULL, engine TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL,
  failures INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, cost_udollar INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  PRIMARY KEY (day, engine, model)) STRICT, WITHOUT ROWID;
"""
_ADD: Final = """
INSERT INTO sums VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  requests = requests + 1, failures = failures + excluded.failures,
  prompt_tokens = prompt_tokens + excluded.prompt_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens,
  completion_tokens = completion_tokens + excluded.completion_tokens,
  cost_udollar = cost_udollar + excluded.cost_udollar, unpriced = unpriced + excluded.unpriced
"""
_INSERT: Final = """
INSERT INTO requests VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIELDS: Final = tuple(UsageRecord.__dataclass_fields__)
"""Columns of `requests` after its number, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSum:
    """What one model used at one engine on one day."""

    day: int
    """Days since 1970-01-01, UTC."""
    engine: str
    model: str
    requests: int
    failures: int
    """Those among them that ended without an answer, or without all of it."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_udollar: int
    unpriced: int
    """Those among them of which nobody knows what they cost."""


class UsageStore:
    """The file, open for reading and writing; `close` it, or use it as a context."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME
        with self._errors():
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S
            )
            try:
                self._path.chmod(0o600)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.executescript(_SCHEMA)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def record(self, *records: UsageRecord) -> None:
        """Keep records, all or none. Raises `StorageError`."""
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for record in records:
                    self._add(record)
                self._forget()
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def _add(self, record: UsageRecord) -> None:
        engine, model = _cut(record.engine), _cut(record.model)
        tokens = [
            _bound(count)
            for count in (record.prompt_tokens, record.cached_tokens, record.completion_tokens)
        ]
        cost = None if record.cost_udollar is None else _bound(record.cost_udollar)
        self._connection.execute(
            _INSERT,
            (
                *(record.time_ms, engine, model, _cut(record.request_id), *tokens),
                *(_bound(record.reasoning_tokens), cost, record.latency_ms),
                *(record.first_token_ms, record.outcome.value, _cut(record.fault)),
            ),
        )
        failed = record.outcome is not Outcome.ANSWERED
        sums = (failed, *tokens, cost or 0, cost is None)
        self._connection.execute(_ADD, (record.time_ms // DAY_MS, engine, model, *map(int, sums)))

    def _forget(self) -> None:
        self._connection.execute(
            "DELETE FROM requests WHERE number <= (SELECT max(number) FROM requests) - ?",
            (REQUESTS_MAX,),
        )
        (count,) = self._connection.execute("SELECT count(*) FROM sums").fetchone()
        if count > SUMS_MAX:
            self._connection.execute("DELETE FROM sums WHERE day = (SELECT min(day) FROM sums)")

    def read_spent_udollar(self, day: int, *, engine: str) -> int:
        """What is known to have been spent at an engine on a day. Raises `StorageError`."""
        with self._errors():
            (spent,) = self._connection.execute(
                "SELECT coalesce(sum(cost_udollar), 0) FROM sums WHERE day = ? AND engine = ?",
                (day, engine),
            ).fetchone()
        return int(spent)

    def read_sums(self, *, first_day: int = 0) -> list[UsageSum]:
        """Sums from a day on, oldest first. Raises `StorageError`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT * FROM sums WHERE day >= ? ORDER BY day, engine, model", (first_day,)
            ).fetchall()
        names = UsageSum.__dataclass_fields__
        return [UsageSum(**dict(zip(names, row, strict=True))) for row in rows]

    def read_requests(self, *, first_day: int = 0) -> Iterator[UsageRecord]:
        """The requests that are kept one by one, oldest first. Raises `StorageError`."""
        with self._errors():
            rows = self._connection.execute(
                "SELECT * FROM requests WHERE time_ms >= ? ORDER BY number", (first_day * DAY_MS,)
            )
            for _, *row in rows:
                values = dict(zip(_FIELDS, row, strict=True))
                yield UsageRecord(**values | {"outcome": Outcome(values["outcome"])})

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                f"the usage store {self._path} cannot be used: {error}",
                hint="check free space and who owns it; move it away if it is damaged",
            ) from None


class UsageWriter:
    """Writes records in a thread of its own, so that an event loop never waits for the disk.

    `take` is a `UsageSink`. What cannot be written is counted in `lost`, and does no other harm.
    """

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self._waiting: Queue[UsageRecord | None] = Queue(WAITING_MAX)
        self._thread = threading.Thread(target=self._work, name="usage", daemon=True)
        self._thread.start()
        self.lost = 0

    def take(self, record: UsageRecord) -> None:
        """Have a record written soon."""
        try:
            self._waiting.put_nowait(record)
        except Full:
            self.lost += 1

    def close(self) -> None:
        """Return when everything is written."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        ended = False
        while not ended:
            records: list[UsageRecord] = []
            item = self._waiting.get()
            while item is not None:
                records.append(item)
                try:
                    item = self._waiting.get_nowait()
                except Empty:
                    break
            ended = item is None
            if records:
                self._write(records)

    def _write(self, records: list[UsageRecord]) -> None:
        try:
            self._store.record(*records)
        except StorageError:
            # Answers matter more than their bill; the loss is counted, and `status` shows it.
            self.lost += len(records)


def _cut(text: str) -> str:
    """A provider's word, bounded and printable."""
    return "".join(char for char in text[:NAME_CHARS_MAX] if char.isprintable())


def _bound(number: int) -> int:
    return max(0, min(number, _INTEGER_MAX))
