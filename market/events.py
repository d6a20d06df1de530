"""What happened, as values, and the chain of digests over what happened to each account.

Events are a function of the state and the commits, so every node writes the same ones. The state
keeps only how many there were and the last digest of each account's chain: whoever holds an
account's events can show that none is missing and none was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from dag.canonical import compute_digest, compute_digests, encode
from market.tables import Table

AUDIT_DOMAIN: Final = b"meshnode/market-audit/1"


class Event(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One thing that happened to one account."""

    kind: str
    account: bytes
    subject: bytes
    """Id of the command, order, contract or window."""
    amount: int = 0
    """Micro-ruv, or lots where the kind counts lots."""
    detail: str = ""


class Audit(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """How far an account's chain goes."""

    count: int = 0
    digest: bytes = bytes(32)


REFUSED: Final = "refused"
"""The kind of events that leave no mark on the state."""


def extend_audit(digest: bytes, time_ms: int, events: Sequence[Event]) -> bytes:
    """Chain what happened to one account in one commit."""
    return compute_digest(AUDIT_DOMAIN, digest + encode((time_ms, events)))


class Trail:
    """The events of the commit that is being folded, and every account's chain."""

    def __init__(self, audits: Table[Audit] | None = None) -> None:
        self.audits: Final[Table[Audit]] = Table() if audits is None else audits
        self._events: list[Event] = []
        self._refusals = 0
        """How many of them are."""
        self.note: Final[Callable[[Event], None]] = self._events.append
        """Something happened. It is the list's own method: what a market does most is to note."""

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in the last commit."""
        return tuple(self._events)

    def begin(self) -> None:
        """A commit begins."""
        self._events.clear()
        self._refusals = 0

    def refuse(self, account: bytes, subject: bytes, code: str, amount: int = 0) -> None:
        """Something did not happen: that is told, and leaves no mark on the account's chain."""
        self._events.append(Event(REFUSED, account, subject, amount, code))
        self._refusals += 1

    def end(self, time_ms: int) -> None:
        """A commit ends: what happened to each account is chained to what happened before."""
        grouped: dict[bytes, list[Event]] = {}
        marking = self._events
        if self._refusals:
            marking = [event for event in marking if event.kind != REFUSED]
        for event in marking:
            account = event.account
            if account in grouped:
                grouped[account].append(event)
            else:
                grouped[account] = [event]
        rows, note_change = self.audits.by_key, self.audits.note_change
        audits: list[Audit] = []
        links: list[bytes] = []
        for account, events in grouped.items():
            note_change(account)
            audit = rows.get(account)
            if audit is None:
                audit = rows[account] = Audit()
            audit.count += len(events)
            audits.append(audit)
            links.append(audit.digest + encode((time_ms, events)))
        for audit, digest in zip(audits, compute_digests(AUDIT_DOMAIN, links), strict=True):
            audit.digest = digest
