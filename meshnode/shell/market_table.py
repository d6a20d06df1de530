"""What happened in the market, in the journal's file: for who asks about it later.

The state machine keeps what is live and forgets the rest. What a commit did to it comes with the
commit and is written in the same transaction, so that this history ends where the order does. It is
a convenience of this node, not part of the agreed state: the oldest of it goes once there is much.
"""

from __future__ import annotations

import sqlite3
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from market.contracts import Contract, Ended
from market.events import REFUSED, Event, extend_audit

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshnode.core.events import Committed

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS market_events (number INTEGER PRIMARY KEY, position INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, kind TEXT NOT NULL, account BLOB NOT NULL, subject BLOB NOT NULL,
    amount INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS market_events_position ON market_events (position);
CREATE INDEX IF NOT EXISTS market_events_account ON market_events (account, number);
CREATE INDEX IF NOT EXISTS market_events_subject ON market_events (subject);
CREATE TABLE IF NOT EXISTS market_contracts (number INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL,
    position INTEGER NOT NULL, time_ms INTEGER NOT NULL, model BLOB NOT NULL, buyer BLOB NOT NULL,
    provider BLOB NOT NULL, bid BLOB NOT NULL, offer BLOB NOT NULL, contract BLOB NOT NULL,
    ended_ms INTEGER, ended BLOB);
CREATE INDEX IF NOT EXISTS market_contracts_position ON market_contracts (position);
CREATE INDEX IF NOT EXISTS market_contracts_bid ON market_contracts (bid);
CREATE INDEX IF NOT EXISTS market_contracts_offer ON market_contracts (offer);
"""
EVENTS_MAX: Final = 200_000
"""Events that are remembered; with their indexes about 60 MB."""
CONTRACTS_MAX: Final = 50_000
_FIND_MAX: Final = 500
_EVENT: Final = "position, time_ms, kind, account, subject, amount, detail"
_CONTRACT: Final = "position, time_ms, contract, ended_ms, ended"

_encode: Final = msgspec.msgpack.Encoder().encode
_contracts: Final = msgspec.msgpack.Decoder(Contract)
_endings: Final = msgspec.msgpack.Decoder(Ended)


class StoredEvent(NamedTuple):
    """Something that happened, and when."""

    position: int
    """Index of the commit."""
    time_ms: int
    event: Event


class StoredContract(NamedTuple):
    """A contract as it began, and how it ended if it has."""

    position: int
    """Index of the commit that traded."""
    time_ms: int
    contract: Contract
    ended_ms: int | None = None
    ended: Ended | None = None


class StoredStep(NamedTuple):
    """What one commit did."""

    position: int
    time_ms: int
    events: tuple[Event, ...]
    trades: tuple[StoredContract, ...] = ()


class AuditSum(NamedTuple):
    """What the events that are remembered of an account amount to."""

    events: int
    digest: bytes


def write_steps(connection: sqlite3.Connection, commits: Iterable[Committed]) -> None:
    """Write down what commits did, inside the caller's transaction."""
    steps = [told for told in commits if told.market is not None]
    for told in steps:
        _write_step(connection, told)
    if steps:
        for table, kept in (("market_events", EVENTS_MAX), ("market_contracts", CONTRACTS_MAX)):
            newest = f"(SELECT max(number) FROM {table})"  # noqa: S608  # constant
            connection.execute(
                f"DELETE FROM {table} WHERE number <= {newest} - ?",  # noqa: S608  # constant
                (kept,),
            )


def _write_step(connection: sqlite3.Connection, told: Committed) -> None:
    step, index, time_ms = told.market, told.commit.index, told.commit.time_ms
    assert step is not None
    connection.executemany(
        f"INSERT INTO market_events ({_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constant
        [
            (index, time_ms, each.kind, each.account, each.subject, each.amount, each.detail)
            for each in step.events
        ],
    )
    connection.executemany(
        "INSERT OR IGNORE INTO market_contracts "
        "(position, time_ms, id, model, buyer, provider, bid, offer, contract) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                index,
                time_ms,
                each.id,
                each.model,
                each.buyer,
                each.provider,
                each.bid,
                each.offer,
                _encode(each),
            )
            for each in step.opened
        ],
    )
    connection.executemany(
        "UPDATE market_contracts SET ended_ms = ?, ended = ? WHERE id = ?",
        [(time_ms, _encode(each), each.contract.id) for each in step.ended],
    )


# --- reading --------------------------------------------------------------------------------------


def read_events(
    connection: sqlite3.Connection, *, account: bytes | None, limit: int, refusals: bool = True
) -> list[StoredEvent]:
    """The newest events first, of everybody or of one account."""
    wanted, values = ["1"], list[bytes | str | int]()
    if account is not None:
        wanted.append("account = ?")
        values.append(account)
    if not refusals:
        wanted.append("kind != ?")
        values.append(REFUSED)
    where = " AND ".join(wanted)
    query = f"SELECT {_EVENT} FROM market_events WHERE {where} ORDER BY number DESC LIMIT ?"  # noqa: S608  # constant parts
    return [_read_event(row) for row in connection.execute(query, (*values, limit))]


def read_chain(
    connection: sqlite3.Connection, *, account: bytes, after: int, limit: int
) -> list[tuple[int, StoredEvent]]:
    """Events of an account's chain behind a place in this table, the oldest first, with theirs."""
    query = f"SELECT number, {_EVENT} FROM market_events WHERE account = ? AND number > ? AND kind != ? ORDER BY number LIMIT ?"  # noqa: S608  # constant
    rows = connection.execute(query, (account, after, REFUSED, limit))
    return [(row[0], _read_event(row[1:])) for row in rows]


def find_floor(connection: sqlite3.Connection) -> int:
    """The last commit of which events may have been forgotten; 0 where none were."""
    row = connection.execute(
        "SELECT number, position FROM market_events ORDER BY number LIMIT 1"
    ).fetchone()
    return 0 if row is None or row[0] == 1 else int(row[1])


def find_events(connection: sqlite3.Connection, subjects: Sequence[bytes]) -> list[StoredEvent]:
    """What happened to these commands, orders or contracts, in order."""
    found: list[tuple[int, StoredEvent]] = []
    for start in range(0, len(subjects), _FIND_MAX):
        chunk = tuple(subjects[start : start + _FIND_MAX])
        marks = ",".join("?" * len(chunk))
        query = f"SELECT number, {_EVENT} FROM market_events WHERE subject IN ({marks})"  # noqa: S608  # marks
        found += [(row[0], _read_event(row[1:])) for row in connection.execute(query, chunk)]
    return [event for _, event in sorted(found, key=_get_number)]


def sum_audit(connection: sqlite3.Connection, account: bytes) -> AuditSum:
    """Chain what is remembered of an account, as the state machine does."""
    query = f"SELECT {_EVENT} FROM market_events WHERE account = ? AND kind != ? ORDER BY number"  # noqa: S608  # constant
    count, digest = 0, bytes(32)
    rows = (_read_event(row) for row in connection.execute(query, (account, REFUSED)))
    for (_, time_ms), group in groupby(rows, key=_get_place):
        events = [stored.event for stored in group]
        count += len(events)
        digest = extend_audit(digest, time_ms, events)
    return AuditSum(count, digest)


def read_steps(connection: sqlite3.Connection, *, after: int, limit: int) -> list[StoredStep]:
    """What the commits behind an index did, in order, at most `limit` of them."""
    query = (
        "SELECT DISTINCT position FROM market_events WHERE position > ? ORDER BY position LIMIT ?"
    )
    positions = [row[0] for row in connection.execute(query, (after, limit))]
    steps = []
    for position in positions:
        query = f"SELECT {_EVENT} FROM market_events WHERE position = ? ORDER BY number"  # noqa: S608  # constant
        events = [_read_event(row) for row in connection.execute(query, (position,))]
        query = f"SELECT {_CONTRACT} FROM market_contracts WHERE position = ? ORDER BY number"  # noqa: S608  # constant
        trades = tuple(_read_contract(row) for row in connection.execute(query, (position,)))
        said = tuple(stored.event for stored in events)
        steps.append(StoredStep(position, events[0].time_ms, said, trades))
    return steps


def read_contracts(
    connection: sqlite3.Connection,
    *,
    account: bytes | None,
    model: bytes | None,
    limit: int,
    ended: bool = False,
) -> list[StoredContract]:
    """The newest contracts first; with `ended` those that are over, the last to end first."""
    wanted, values = ["1"], list[bytes | int]()
    if account is not None:
        wanted.append("(buyer = ? OR provider = ?)")
        values += [account, account]
    if model is not None:
        wanted.append("model = ?")
        values.append(model)
    if ended:
        wanted.append("ended IS NOT NULL")
    order = "ended_ms DESC, number DESC" if ended else "number DESC"
    where = " AND ".join(wanted)
    query = f"SELECT {_CONTRACT} FROM market_contracts WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608  # constant parts
    return [_read_contract(row) for row in connection.execute(query, (*values, limit))]


def find_contracts(
    connection: sqlite3.Connection, prefix: bytes, *, limit: int
) -> list[StoredContract]:
    """The contracts whose ids begin with these bytes."""
    query = f"SELECT {_CONTRACT} FROM market_contracts WHERE id >= ? AND id <= ? LIMIT ?"  # noqa: S608  # constant
    rows = connection.execute(query, (prefix, prefix + b"\xff" * 33, limit))
    return [_read_contract(row) for row in rows]


def find_trades(connection: sqlite3.Connection, orders: Sequence[bytes]) -> list[StoredContract]:
    """The trades of these orders, in order."""
    found: dict[int, StoredContract] = {}
    for column in ("bid", "offer"):
        for order in orders:
            query = f"SELECT number, {_CONTRACT} FROM market_contracts WHERE {column} = ?"  # noqa: S608  # constant
            for row in connection.execute(query, (order,)):
                found[row[0]] = _read_contract(row[1:])
    return [found[number] for number in sorted(found)]


def _read_event(row: tuple[int, int, str, bytes, bytes, int, str]) -> StoredEvent:
    position, time_ms, kind, account, subject, amount, detail = row
    return StoredEvent(position, time_ms, Event(kind, account, subject, amount, detail))


def _read_contract(row: tuple[int, int, bytes, int | None, bytes | None]) -> StoredContract:
    position, time_ms, contract, ended_ms, ended = row
    try:
        ending = None if ended is None else _endings.decode(ended)
        return StoredContract(position, time_ms, _contracts.decode(contract), ended_ms, ending)
    except msgspec.DecodeError as error:
        raise sqlite3.DataError(f"a contract of commit {position} is damaged: {error}") from None


def _get_number(row: tuple[int, StoredEvent]) -> int:
    return row[0]


def _get_place(stored: StoredEvent) -> tuple[int, int]:
    return stored.position, stored.time_ms
