"""An account's chain of events as a file that anybody can check, without a node.

The first line says whose chain it is, how long, and its last link; each further line is one event,
the oldest first. Every node chains the events of each commit to those before, so a file that gives
the same last link is complete and unchanged.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from market.events import Audit, Event, extend_audit
from meshnode.errors import CommandRejected, MalformedMessage
from meshnode.views import View

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from meshnode.market_views import AuditInfo, HistoryEntry

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


async def write_audit(pages: AsyncIterable[AuditInfo]) -> AsyncIterator[str]:
    """The lines of a file, page by page, oldest first; what came since the first page is left out.

    Raises `CommandRejected` where the node no longer holds all events.
    """
    head, count = None, 0
    async for page in pages:
        if head is None:
            head = page
            yield _write_line(_make_head(page))
        for entry in page.entries[: head.count - count]:
            yield _write_line(_make_line(entry))
        count += min(len(page.entries), head.count - count)
        if count == head.count:
            return
    if head is not None:
        raise CommandRejected(
            f"the chain has {head.count} events and the node holds {count} of them",
            hint="a node that has kept the whole history can export it",
        )


async def compute_link(pages: AsyncIterable[AuditInfo], count: int) -> str | None:
    """The link behind so many events of a node's chain; None where it does not hold so many.

    A count that ends inside a commit has no link: it gives one that no file has.
    """
    chain: ChainSum | None = None
    left = count
    async for page in pages:
        if chain is None:
            if count == page.count:
                return page.digest
            if count > page.count or page.verified is None:
                return None
            chain = ChainSum(_read_id(page.account, 1))
        for number, entry in enumerate(page.entries[:left]):
            chain.add(number, _make_line(entry))
        left -= min(len(page.entries), left)
        if not left:
            return chain.finish().digest.hex()
    return None


def check_audit(lines: Iterable[str]) -> AuditHead:
    """The head of a file whose chain holds. Raises `MalformedMessage` saying where it breaks."""
    reader = enumerate(lines, start=1)
    first = next(reader, None)
    if first is None:
        raise MalformedMessage("an audit file has a first line, and this is empty")
    head = AuditHead.from_json(_read_line(*first, schema=AuditHead.schema))
    account = _read_id(head.account, 1)
    chain = ChainSum(account)
    for number, text in reader:
        if text.strip():
            chain.add(number, AuditLine.from_json(_read_line(number, text)))
    _compare(head, chain.finish())
    return head


class ChainSum:
    """The chain over lines as they come; holds the events of one commit."""

    def __init__(self, account: bytes) -> None:
        self._account = account
        self._chain = Audit()
        self._place = (-1, 0)
        self._events: list[Event] = []

    def add(self, number: int, line: AuditLine) -> None:
        """Take the next line; the number is for errors. Raises `MalformedMessage`."""
        place = (line.commit_index, line.time_ms)
        if place != self._place:
            self.finish()
            if place[0] <= self._place[0]:
                raise MalformedMessage(
                    f"commit {line.commit_index} stands behind commit {self._place[0]}"
                )
            self._place = place
        self._events.append(_make_event(self._account, line, number))

    def finish(self) -> Audit:
        """The chain up to here. Raises `MalformedMessage`."""
        if self._events:
            self._chain.count += len(self._events)
            self._chain.digest = _extend(self._chain.digest, self._place[1], self._events)
            self._events = []
        return self._chain


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


def _make_head(page: AuditInfo) -> AuditHead:
    return AuditHead(account=page.account, name=page.name, count=page.count, digest=page.digest)


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
