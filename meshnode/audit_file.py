"""An account's chain of events as a file that anybody can check, without a node.

The first line says whose chain it is, how long, and its last link; each further line is one event,
the oldest first. Every node chains the events of each commit to those before, so a file that gives
the same last link is complete and unchanged.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

from market.events import REFUSED, Audit, Event, extend_audit
from meshnode.errors import CommandRejected, MalformedMessage
from meshnode.market_views import AuditInfo, HistoryEntry
from meshnode.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE_CHARACTERS_MAX: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead(View):
    """The first line."""

    schema: ClassVar[str] = "meshnode.audit-file/1"

    account: str
    name: str
    count: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine(View):
    """One event."""

    commit_index: int
    time_ms: int
    kind: str
    subject: str
    amount_uruv: int = 0
    detail: str = ""


def write_audit(audit: AuditInfo) -> Iterator[str]:
    """The lines of a file. Raises `CommandRejected` where the node no longer holds all events."""
    entries = [entry for entry in reversed(audit.entries) if entry.kind != REFUSED]
    if len(entries) != audit.count:
        raise CommandRejected(
            f"the chain has {audit.count} events and the node gave {len(entries)} of them",
            hint="a node that has kept the whole history can export it",
        )
    head = AuditHead(account=audit.account, name=audit.name, count=audit.count, digest=audit.digest)
    yield _write_line(head)
    for entry in entries:
        yield _write_line(_make_line(entry))


def compute_link(audit: AuditInfo, count: int) -> str | None:
    """The link behind so many events of a node's chain; None where it does not hold so many.

    A count that ends inside a commit has no link: it gives one that no file has.
    """
    if count == audit.count:
        return audit.digest
    entries = [entry for entry in reversed(audit.entries) if entry.kind != REFUSED]
    if len(entries) != audit.count or count > audit.count:
        return None
    account = _read_id(audit.account, 1)
    return _fold(account, enumerate(map(_make_line, entries[:count]))).digest.hex()


def check_audit(lines: Iterable[str]) -> AuditHead:
    """The head of a file whose chain holds. Raises `MalformedMessage` saying where it breaks."""
    reader = enumerate(lines, start=1)
    first = next(reader, None)
    if first is None:
        raise MalformedMessage("an audit file has a first line, and this is empty")
    head = AuditHead.from_json(_read_line(*first, schema=AuditHead.schema))
    account = _read_id(head.account, 1)
    read = (
        (number, AuditLine.from_json(_read_line(number, text)))
        for number, text in reader
        if text.strip()
    )
    _compare(head, _fold(account, read))
    return head


def _fold(account: bytes, numbered: Iterable[tuple[int, AuditLine]]) -> Audit:
    """The chain over lines, each with its number. Raises `MalformedMessage`."""
    chain, last_index = Audit(), -1
    for (index, time_ms), group in groupby(numbered, key=_get_commit):
        events = [_make_event(account, line, number) for number, line in group]
        if index <= last_index:
            raise MalformedMessage(f"commit {index} stands behind commit {last_index}")
        last_index = index
        chain.count += len(events)
        chain.digest = _extend(chain.digest, time_ms, events)
    return chain


def _get_commit(numbered: tuple[int, AuditLine]) -> tuple[int, int]:
    return numbered[1].commit_index, numbered[1].time_ms


def _extend(digest: bytes, time_ms: int, events: list[Event]) -> bytes:
    try:
        return extend_audit(digest, time_ms, events)
    except (OverflowError, UnicodeEncodeError):
        raise MalformedMessage(f"commit time {time_ms} has an event that no node writes") from None


def _compare(head: AuditHead, chain: Audit) -> None:
    if chain.count != head.count:
        raise MalformedMessage(f"the file has {chain.count} events where {head.count} are promised")
    if not hmac.compare_digest(chain.digest, _read_id(head.digest, 1)):
        raise MalformedMessage(
            "the events do not give the last link of the chain",
            hint="an event was changed, moved, added or left out",
        )


def _make_line(entry: HistoryEntry) -> AuditLine:
    return AuditLine(
        commit_index=entry.commit_index,
        time_ms=entry.time_ms,
        kind=entry.kind,
        subject=entry.subject,
        amount_uruv=entry.amount_uruv,
        detail=entry.detail,
    )


def _make_event(account: bytes, line: AuditLine, number: int) -> Event:
    return Event(line.kind, account, _read_id(line.subject, number), line.amount_uruv, line.detail)


def _write_line(record: AuditHead | AuditLine) -> str:
    return json.dumps(record.to_json(), ensure_ascii=True)


def _read_line(number: int, text: str, *, schema: str = "") -> object:
    if len(text) > LINE_CHARACTERS_MAX:
        raise MalformedMessage(f"line {number} is longer than {LINE_CHARACTERS_MAX} characters")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedMessage(f"line {number} is not JSON") from None
    if schema and (not isinstance(data, dict) or data.get("schema") != schema):
        raise MalformedMessage(f"the first line is not of the form {schema}")
    return data


def _read_id(text: str, number: int) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MalformedMessage(f"line {number} names something that is no id in hex") from None
